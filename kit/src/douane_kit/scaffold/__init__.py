"""The files that `douane plugin new` writes: a plugin that works, its tests, a configuration and a README.

`folder.write_folder` fills the templates in `templates/`. A new kind of plugin is a folder of templates, and a value of
`folder.Kind.what`.
"""

from .folder import BadName, Kind, write_folder

__all__ = ["BadName", "Kind", "write_folder"]
