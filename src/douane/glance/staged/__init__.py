"""Images in Glance's staging area: inspected by the import plugin."""
