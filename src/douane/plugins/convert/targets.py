"""The formats that `convert` makes, one line each."""

from __future__ import annotations

from douane.plugins._image_format import QEMU_DRIVERS
from douane_plugin._units import parse_size

TARGETS = {
    "raw": ("", False),
    "qcow2": ("", True),
    "vmdk": ("subformat=streamOptimized", True),
    "vhd": ("subformat=dynamic,force_size=on", False),
    "vhdx": ("", True),
    "vdi": ("", True),
}
"""Disk formats, with their options for ``qemu-img convert``, and whether ``qemu-img check`` can check them."""

DEFAULT_SOURCES = tuple(name for name, driver in QEMU_DRIVERS.items() if name == driver or driver != "raw")
"""The formats that are converted by default: all that can be read, except optical discs."""

_MAX_CLUSTER, _MIN_CLUSTER = 2 << 20, 512


class Target:
    """The format to make. Raises ValueError for settings that contradict each other."""

    def __init__(self, name: str, compression: str, cluster_size: int | str | None, verify: str) -> None:
        self.name = name
        self.driver = QEMU_DRIVERS[name]
        self._compressed = compression != "none" or name == "vmdk"
        default_options, has_check = TARGETS[name]
        if name != "qcow2" and (compression != "none" or cluster_size is not None):
            raise ValueError(f"'compression' and 'cluster_size' are for to = 'qcow2', not for {name!r}")
        if verify == "check" and not has_check:
            raise ValueError(f"{name} has no structure that verify = 'check' could check; use 'compare'")
        options = [default_options] if default_options else []
        if cluster_size is not None:
            size = parse_size(cluster_size, "cluster_size")
            if not _MIN_CLUSTER <= size <= _MAX_CLUSTER or size & size - 1:
                raise ValueError(f"'cluster_size' is a power of 2 from 512 to 2MiB, not {cluster_size!r}")
            options.append(f"cluster_size={size}")
        if compression != "none":
            options.append(f"compression_type={compression}")
        self._options = ["-o", ",".join(options)] if options else []

    def words(self, source: str, result: str) -> list[str]:
        """Arguments of ``qemu-img convert``, which makes the file `result` of `source`."""
        # unsafe: the result is read at once, and gone when the machine is.
        arguments = [*(["-c"] if self._compressed else []), "-t", "unsafe", "-O", self.driver, *self._options]
        return [*arguments, source, result]

    def is_same_bytes(self, disk_format: str) -> bool:
        """True if a conversion would change no byte: raw to raw."""
        return QEMU_DRIVERS.get(disk_format) == self.driver == "raw"

    def is_met_by(self, disk_format: str, variant: str) -> bool:
        """True if an image has this format already."""
        return disk_format == self.name and (self.name != "vmdk" or variant == "streamOptimized")
