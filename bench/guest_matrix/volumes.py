"""What a file system lies in: nothing, LVM, md. Each is a function of the image that makes the members."""

from __future__ import annotations

from pathlib import Path

from . import lvm_volumes, md_arrays
from .lvm_volumes import Maker


def plain(image: Path, room: Path, devices: int) -> list[Path]:
    """Nothing."""
    return [image]


def _array(kind: str) -> Maker:
    return lambda image, room, devices: md_arrays.members_of(kind, image, room, devices)


VOLUMES: dict[str, Maker] = {
    "plain": plain,
    "LVM linear": lvm_volumes.linear,
    "LVM striped": lvm_volumes.striped,
    "LVM mirror": lvm_volumes.mirror,
    "LVM thin": lvm_volumes.thin,
    "LVM RAID 1": lvm_volumes.raid("raid1", 2),
    "LVM RAID 5": lvm_volumes.raid("raid5", 3),
    "LVM RAID 6": lvm_volumes.raid("raid6", 5),
    "LVM RAID 10": lvm_volumes.raid("raid10", 4),
    "md 0": _array("md 0"),
    "md 1": _array("md 1"),
    "md 5": _array("md 5"),
    "md 6": _array("md 6"),
    "md 10": _array("md 10"),
}
ALONE = frozenset(name for name in VOLUMES if name not in ("md 0", "md 5", "md 6", "md 10"))
"""Those that fit on a disk without partitions: of an md mirror one member, of a volume group one device."""
