"""squashfs 4.0, little-endian: gzip, xz, lzo, lz4, zstd. Versions 1 to 3 and the old lzma are told as unsupported.

The structures are those of fs/squashfs/squashfs_fs.h and Documentation/filesystems/squashfs.rst of Linux.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from douane_guest.budget import Budget
from douane_guest.errors import only_guest_errors
from douane_guest.source import Source

from .superblock import BIG_ENDIAN_MAGIC, MAGIC

if TYPE_CHECKING:
    from .system import Squashfs


@only_guest_errors
def probe(source: Source) -> bool:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    return source.size >= 96 and source.pread(0, 4) in (MAGIC, BIG_ENDIAN_MAGIC)


@only_guest_errors
def open(source: Source, budget: Budget) -> Squashfs:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    from .system import Squashfs

    return Squashfs(source, budget)
