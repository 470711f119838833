"""exFAT. The bitmap of clusters is not needed to read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from douane_guest.budget import Budget
from douane_guest.errors import only_guest_errors
from douane_guest.source import Source

from .boot import BOOT_BYTES, MAGIC, read

if TYPE_CHECKING:
    from .filesystem import ExFat


@only_guest_errors
def probe(source: Source) -> bool:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    return source.size >= BOOT_BYTES and source.pread(3, len(MAGIC)) == MAGIC


@only_guest_errors
def open(source: Source, budget: Budget) -> ExFat:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    from .filesystem import ExFat

    return ExFat(source, read(source), budget)
