"""What other programs show of an image: second opinions where the machine's kernel has no driver.

Each compares what it can: the fields in `lacks` are those that it does not tell, or makes up.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from .facts import Listing, facts_of_folder
from .fuse import fuse
from .second_kernel import Mount, shown_by_second_kernel
from .workshop import run

SECOND_KERNEL = "second kernel"
OWNERS = frozenset({"mode", "uid", "gid", "xattrs", "same_as"})
"""What is no part of the file system, and comes from the options of the mount."""


class Opinion(NamedTuple):
    """A program, what it shows of an image, and what it does not tell."""

    name: str
    read: Callable[[Path], Listing]
    """Raises NotBuilt where it is not there."""

    lacks: frozenset[str] = frozenset()


def of_second_kernel(kind: str, options: str = "", lacks: frozenset[str] = frozenset()) -> Opinion:
    """Of Linux, with the drivers of another build."""
    return Opinion(SECOND_KERNEL, partial(shown_by_second_kernel, mount=Mount(kind, options)), lacks)


def _by_fuse(*command: str) -> Callable[[Path], Listing]:
    def read(image: Path) -> Listing:
        with fuse(image, *command, "-o", "ro") as folder:
            return facts_of_folder(folder)

    return read


def _by_7z(image: Path) -> Listing:
    """What it unpacks, without the files of the file system itself."""
    folder = image.with_name(f"{image.name}.unpacked")
    try:
        run("7z", "x", "-y", "-snld", f"-o{folder}", image)
        listing = facts_of_folder(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {path: fact for path, fact in listing.items() if path.split(b"/")[0] != b"[SYSTEM]"}


FAT = of_second_kernel("vfat", "iocharset=utf8,tz=UTC", OWNERS)
ISO9660 = of_second_kernel("iso9660", "iocharset=utf8", frozenset({"xattrs", "same_as"}))
JOLIET = of_second_kernel("iso9660", "iocharset=utf8", OWNERS)
UDF = of_second_kernel("udf", "iocharset=utf8", OWNERS)
UDF_MOUNT = Mount("udf", "iocharset=utf8")
UDF_OF_UNIX = of_second_kernel(*UDF_MOUNT, frozenset({"xattrs"}))
EXT4 = of_second_kernel("ext4")
XFS = of_second_kernel("xfs")
EXFAT_FUSE = Opinion("exfat-fuse", _by_fuse("mount.exfat-fuse"), OWNERS)
NTFS_3G = Opinion("ntfs-3g", _by_fuse("ntfs-3g"), OWNERS)
SEVEN_ZIP = Opinion("7z", _by_7z, OWNERS | {"mtime_ns"})
