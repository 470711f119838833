"""Imports for which Glance does not run the import plugin."""
