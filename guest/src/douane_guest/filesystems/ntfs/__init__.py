"""NTFS: compressed and sparse files, alternate streams, links; encrypted and deduplicated files are told as unread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from douane_guest.budget import Budget
from douane_guest.errors import only_guest_errors
from douane_guest.source import Source

from .boot import BOOT_BYTES, MAGIC, parse

if TYPE_CHECKING:
    from .filesystem import Ntfs


@only_guest_errors
def probe(source: Source) -> bool:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    return source.size >= BOOT_BYTES and source.pread(3, len(MAGIC)) == MAGIC


@only_guest_errors
def open(source: Source, budget: Budget) -> Ntfs:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    from .filesystem import Ntfs

    return Ntfs(source, parse(source.pread(0, BOOT_BYTES)), budget)
