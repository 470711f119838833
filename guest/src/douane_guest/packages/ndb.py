"""The blobs in rpm's own database: ``Packages.db`` of SUSE.

Source: the description at the head of rpm's lib/backend/ndb/rpmpkg.c (names and places of the fields).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.source import Source

from .base import check_header

PAGE = 4096
BLOCK = 16
MAX_PAGES = 1 << 14
_HEADER, _SLOT, _BLOB = b"RpmP", b"Slot", b"BlbS"


def blobs(source: Source, budget: Budget) -> Iterator[bytes]:
    """The header of each package."""
    head = source.pread(0, 32)
    magic, version, _, pages = struct.unpack_from("<4sIII", head)
    if magic != _HEADER or version != 0 or not 0 < pages <= MAX_PAGES:
        raise Broken("the database of rpm (ndb) does not begin with its header")
    for page in range(pages):
        data = source.pread(page * PAGE, PAGE)
        for slot, package, block, count in struct.iter_unpack("<4sIII", data[32 if page == 0 else 0 :]):
            budget.step()
            if slot != _SLOT:
                raise Broken(f"page {page} of the database of rpm (ndb) has no slots")
            if package:
                yield _blob(source, package, block * BLOCK, count * BLOCK, budget)


def _blob(source: Source, package: int, offset: int, room: int, budget: Budget) -> bytes:
    magic, number, _, length = struct.unpack("<4sIII", source.pread(offset, 16))
    if magic != _BLOB or number != package or length + 16 > room:
        raise Broken(f"a package of the database of rpm (ndb) is not at {offset}")
    check_header(length, budget)
    return source.pread(offset + 16, length)
