"""The formats that are made, and those that can be converted."""

from __future__ import annotations

from douane.plugins._image_format import QEMU_DRIVERS
from douane_plugin._units import parse_size

USUAL = tuple(name for name, driver in QEMU_DRIVERS.items() if name == driver or driver != "raw")
"""The formats that are converted by default: all that can be read, except optical discs."""

_OPTIONS = {"vmdk": "subformat=streamOptimized", "vhd": "subformat=dynamic,force_size=on"}
_CHECKED = ("qcow2", "vmdk", "vhdx", "vdi")
_MOST_CLUSTER, _LEAST_CLUSTER = 2 << 20, 512


class Target:
    """What is to be made. Raises ValueError for what does not go together."""

    def __init__(self, name: str, compression: str, cluster_size: int | str | None, verify: str) -> None:
        self.name = name
        self.driver = QEMU_DRIVERS[name]
        self._compressed = compression != "none" or name == "vmdk"
        given = [_OPTIONS[name]] if name in _OPTIONS else []
        if name != "qcow2" and (compression != "none" or cluster_size is not None):
            raise ValueError(f"'compression' and 'cluster_size' are for to = 'qcow2', not for {name!r}")
        if verify == "check" and name not in _CHECKED:
            raise ValueError(f"{name} has no structure that verify = 'check' could check; use 'compare'")
        if cluster_size is not None:
            size = parse_size(cluster_size, "cluster_size")
            if not _LEAST_CLUSTER <= size <= _MOST_CLUSTER or size & size - 1:
                raise ValueError(f"'cluster_size' is a power of 2 from 512 to 2MiB, not {cluster_size!r}")
            given.append(f"cluster_size={size}")
        if compression != "none":
            given.append(f"compression_type={compression}")
        self._options = ["-o", ",".join(given)] if given else []

    def words(self, source: str, made: str) -> list[str]:
        """Arguments of ``qemu-img convert``, which makes the file `made` of `source`."""
        # unsafe: what is made is read at once, and gone when the machine is.
        how = [*(["-c"] if self._compressed else []), "-t", "unsafe", "-O", self.driver, *self._options]
        return [*how, source, made]

    def is_nothing(self, disk_format: str | None) -> bool:
        """True if there is nothing that could be converted: raw bytes into raw bytes."""
        return QEMU_DRIVERS.get(disk_format or "") == self.driver == "raw"

    def is_met_by(self, disk_format: str | None, variant: str) -> bool:
        """True if an image is of this format already."""
        return disk_format == self.name and (self.name != "vmdk" or variant == "streamOptimized")
