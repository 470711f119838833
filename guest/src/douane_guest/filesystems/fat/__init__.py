"""FAT12, FAT16 and FAT32, with long names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported, only_guest_errors
from douane_guest.source import Source

from .boot import BOOT_BYTES, parse

if TYPE_CHECKING:
    from .filesystem import Fat


@only_guest_errors
def probe(source: Source) -> bool:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    if source.size < BOOT_BYTES:
        return False
    try:
        parse(source.pread(0, BOOT_BYTES))
    except Unsupported:
        return True
    except Broken:
        return False
    return True


@only_guest_errors
def open(source: Source, budget: Budget) -> Fat:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    from .filesystem import Fat

    return Fat(source, parse(source.pread(0, BOOT_BYTES)), budget)
