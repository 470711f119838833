"""ISO 9660 as Linux shows it: with the names of Rock Ridge, else of Joliet, else of ISO 9660 itself in small letters.

ECMA-119; Joliet Specification 1995; IEEE P1281 (SUSP) and P1282 (RRIP) 1.12; zisofs of libisofs' doc/zisofs_format.txt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from douane_guest.budget import Budget
from douane_guest.errors import only_guest_errors
from douane_guest.source import Source

from .volume import FIRST_DESCRIPTOR, IDENTIFIER, SECTOR

if TYPE_CHECKING:
    from .system import Iso9660


@only_guest_errors
def probe(source: Source) -> bool:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    place = FIRST_DESCRIPTOR * SECTOR
    return source.size >= place + SECTOR and source.pread(place + 1, 5) == IDENTIFIER


@only_guest_errors
def open(source: Source, budget: Budget) -> Iso9660:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    from .system import Iso9660

    return Iso9660(source, budget)
