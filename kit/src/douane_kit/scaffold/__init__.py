"""What `douane plugin new` writes: a plugin that works, its tests, and how to use it."""

from .folder import BadName, Kind, write_folder

__all__ = ["BadName", "Kind", "write_folder"]
