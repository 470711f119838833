"""Builders of disk images, one for each format."""
