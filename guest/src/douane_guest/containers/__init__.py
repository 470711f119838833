"""Containers: the disk inside an image file."""
