"""The table of built-in plugins: the name that is written under `use`, and its class.

A new built-in plugin is a module (or a package) in `douane.plugins` and a line here.
"""

from __future__ import annotations

PACKAGE = "douane.plugins"

BUILT_IN = {
    "checksum": "douane.plugins.checksum:Checksum",
    "convert": "douane.plugins.convert:Convert",
    "decompress": "douane.plugins.decompress:Decompress",
    "format": "douane.plugins.format:Format",
    "limits": "douane.plugins.limits:Limits",
    "oslo-format": "douane.plugins.oslo_format:OsloFormat",
    "ova": "douane.plugins.ova:Ova",
    "ova-any-order": "douane.plugins.ova:OvaAnyOrder",
    "properties": "douane.plugins.properties:Properties",
    "qemu-info": "douane.plugins.qemu_info:QemuInfo",
    "untar": "douane.plugins.untar:Untar",
}
