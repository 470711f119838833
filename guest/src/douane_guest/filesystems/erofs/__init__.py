"""erofs: plain, inline, chunked and compressed files (lz4, MicroLZMA, deflate, zstd), attributes.

The structures are those of fs/erofs/erofs_fs.h and Documentation/filesystems/erofs.rst of Linux.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from douane_guest.budget import Budget
from douane_guest.errors import only_guest_errors
from douane_guest.source import Source

from .superblock import MAGIC, PLACE, SUPERBLOCK

if TYPE_CHECKING:
    from .system import Erofs


@only_guest_errors
def probe(source: Source) -> bool:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    return source.size >= PLACE + SUPERBLOCK.size and source.pread(PLACE, 4) == MAGIC.to_bytes(4, "little")


@only_guest_errors
def open(source: Source, budget: Budget) -> Erofs:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    from .system import Erofs

    return Erofs(source, budget)
