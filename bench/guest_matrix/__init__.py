"""The guest view on images that the real tools make: containers, tables, volumes and file systems, cell by cell."""
