"""The values of a hash of Berkeley DB: ``Packages`` of rpm up to RHEL 8 and CentOS 7.

Source: Berkeley DB's page formats (dbinc/db_page.h names the fields). All pages are read in turn: no key is looked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.source import Source

from .base import check_header

MAGIC = 0x061561
MAX_PAGE = 65536
_UNUSED, _HASH_META, _HASH, _HASH_UNSORTED, _OVERFLOW = 0, 8, 13, 2, 7
_IN_PAGE, _ELSEWHERE = 1, 3
_HEADER = 26
SHORTEST = 16
"""Bytes of a value that can be a header; a shorter one is the number of the next package."""


def values(source: Source, budget: Budget) -> Iterator[bytes]:
    """The header of each package."""
    head = source.pread(0, 512)
    order = next((order for order in "<>" if struct.unpack_from(order + "I", head, 12)[0] == MAGIC), None)
    if order is None:
        raise Broken("the database of rpm is no hash of Berkeley DB")
    size, last = struct.unpack_from(order + "I", head, 20)[0], struct.unpack_from(order + "I", head, 32)[0]
    if size not in (1 << shift for shift in range(9, 17)) or head[25] != _HASH_META:
        raise Broken(f"the database of rpm has pages of {size} bytes")
    if (last + 1) * size > source.size:
        raise Broken(f"the database of rpm has {last + 1} pages, and its file ends before")
    for number in range(1, last + 1):
        budget.step(size // 64)
        page = source.pread(number * size, size)
        if page[25] in (_HASH, _HASH_UNSORTED):
            yield from _page_values(source, page, order, size, budget)
        elif page[25] not in (_UNUSED, _OVERFLOW, _HASH_META):
            raise Broken(f"the database of rpm has a page of the kind {page[25]}")


def _page_values(source: Source, page: bytes, order: str, size: int, budget: Budget) -> Iterator[bytes]:
    count = struct.unpack_from(order + "H", page, 20)[0]
    if _HEADER + 2 * count > size or count % 2:
        raise Broken(f"a page of the database of rpm has {count} items")
    offsets = struct.unpack_from(f"{order}{count}H", page, _HEADER)
    for index in range(1, count, 2):
        budget.step()
        start, end = offsets[index], offsets[index - 1]
        if not _HEADER + 2 * count <= start < end <= size:
            raise Broken("the items in a page of the database of rpm overlap")
        item = page[start:end]
        if item[0] == _IN_PAGE and len(item) - 1 >= SHORTEST:
            yield item[1:]
        elif item[0] == _ELSEWHERE:
            if len(item) < 12:
                raise Broken("an item of the database of rpm is too short")
            first, length = struct.unpack_from(order + "II", item, 4)
            yield _long_value(source, first, length, order, size, budget)
        elif item[0] != _IN_PAGE:
            raise Broken(f"the database of rpm has an item of the kind {item[0]}")


def _long_value(source: Source, number: int, length: int, order: str, size: int, budget: Budget) -> bytes:
    check_header(length, budget)
    parts: list[bytes] = []
    missing = length
    while missing > 0:
        budget.step()
        page = source.pread(number * size, size)
        used = struct.unpack_from(order + "H", page, 22)[0]
        if page[25] != _OVERFLOW or not 0 < used <= min(missing, size - _HEADER):
            raise Broken("the pages of a long value of the database of rpm are damaged")
        parts.append(page[_HEADER : _HEADER + used])
        missing -= used
        number = struct.unpack_from(order + "I", page, 16)[0]
    return b"".join(parts)
