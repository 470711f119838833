"""ext2, ext3 and ext4, with replay of the journal in memory.

Sources of the structures: the kernel's Documentation/filesystems/ext4, and what mke2fs 1.47 and Linux 6 write and
refuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from douane_guest.budget import Budget
from douane_guest.errors import only_guest_errors
from douane_guest.source import Source

if TYPE_CHECKING:
    from .system import ExtSystem

MAGIC = b"\x53\xef"


@only_guest_errors
def probe(source: Source) -> bool:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    return source.size >= 2048 and source.pread(1024 + 56, 2) == MAGIC


@only_guest_errors
def open(source: Source, budget: Budget) -> ExtSystem:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    from .opening import open_ext

    return open_ext(source, budget)
