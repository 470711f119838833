"""A small reader of SQLite: the rows of a table, page by page, with the write-ahead log applied.

The library of Python would need the whole database in memory, and would see hostile bytes in C.
Source: "Database File Format" and "WAL-mode File Format" of sqlite.org.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch, Unsupported
from douane_guest.source import Source

from .base import check_header

MAGIC = b"SQLite format 3\0"
JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
MAX_DEPTH = 20
MAX_COLUMNS = 2000
MAX_FRAMES = 1 << 18
_MAGIC_OF_LOG, _VERSION_OF_LOG = 0x377F0682, 3007000
_LEAF, _INTERIOR = 0x0D, 0x05
_WIDTHS = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)
"""Bytes of a value by its serial type, up to 9."""
Value = int | bytes | None


class Database:
    """An open database."""

    def __init__(self, source: Source, log: Source | None, budget: Budget) -> None:
        self._source = source
        self._budget = budget
        self._log = log
        head = source.pread(0, 100)
        if head[:16] != MAGIC:
            raise Broken("a database of SQLite does not begin with its signature")
        self._page_size = int.from_bytes(head[16:18], "big")
        self._page_size = 65536 if self._page_size == 1 else self._page_size
        if self._page_size not in (1 << shift for shift in range(9, 17)):
            raise Broken(f"a database of SQLite has pages of {self._page_size} bytes")
        self._frames = self._read_log(log) if log is not None and log.size >= 32 else {}
        self._usable = self._page_size - head[20]
        if self._usable < 480:
            raise Broken("the pages of a database of SQLite have no room")
        if int.from_bytes(self._page(1)[56:60], "big") not in (0, 1):
            raise Unsupported("a database of SQLite has text in UTF-16")

    def rows(self, table: str) -> Iterator[list[Value]]:
        """The rows of a table. Texts are bytes, fractions are left out as None, and so is the column of the number."""
        for values in self._tree(1):
            if len(values) >= 4 and values[0] == b"table" and values[1] == table.encode():
                if not isinstance(values[3], int):
                    raise Broken("a table of SQLite has no root")
                yield from self._tree(values[3])
                return
        raise Broken(f"a database of SQLite has no table {table}")

    def _read_log(self, log: Source) -> dict[int, int]:
        """Where in the log the last committed content of each page is."""
        head = log.pread(0, 32)
        magic, version, size = struct.unpack_from(">III", head)
        if magic & ~1 != _MAGIC_OF_LOG:
            return {}  # SQLite ignores such a log as well.
        order = ">" if magic & 1 else "<"
        sums = _checksum(head[:24], (0, 0), order)
        if sums != struct.unpack_from(">II", head, 24):
            return {}
        if version != _VERSION_OF_LOG or size != self._page_size:
            raise Broken("the log of a database of SQLite is of another version, or has pages of another size")
        committed: dict[int, int] = {}
        pending: dict[int, int] = {}
        position = 32
        while position + 24 + size <= log.size:
            if position >= MAX_FRAMES * size:
                raise TooMuch(f"the log of a database of SQLite has more than {MAX_FRAMES} pages")
            self._budget.step(100)
            frame = log.pread(position, 24 + size)
            sums = _checksum(frame[24:], _checksum(frame[:8], sums, order), order)
            if frame[8:16] != head[16:24] or sums != struct.unpack_from(">II", frame, 16):
                break  # What follows is of an older log.
            pending[int.from_bytes(frame[:4], "big")] = position + 24
            if frame[4:8] != b"\0\0\0\0":
                committed |= pending
                pending = {}
            position += 24 + size
        return committed

    def _page(self, number: int) -> bytes:
        self._budget.step()
        if number in self._frames and self._log is not None:
            return self._log.pread(self._frames[number], self._page_size)
        if number < 1:
            raise Broken(f"a database of SQLite refers to page {number}")
        return self._source.pread((number - 1) * self._page_size, self._page_size)

    def _tree(self, root: int) -> Iterator[list[Value]]:
        """The rows below a page, in order; each page once."""
        waiting = [(root, 0)]
        visited = set()
        while waiting:
            number, depth = waiting.pop()
            if number in visited or depth > MAX_DEPTH:
                raise Broken("the tree of a table of SQLite has a page twice")
            visited.add(number)
            page = self._page(number)
            start = 100 if number == 1 else 0
            kind, _, count = struct.unpack_from(">BHH", page, start)
            first = start + (12 if kind == _INTERIOR else 8)
            if kind not in (_LEAF, _INTERIOR) or first + 2 * count > self._page_size:
                raise Broken(f"page {number} of a database of SQLite is no page of a table")
            cells = struct.unpack_from(f">{count}H", page, first)
            if kind == _LEAF:
                for cell in cells:
                    yield self._record(self._payload(page, cell))
                continue
            children = [_number(page, cell) for cell in cells] + [_number(page, start + 8)]
            waiting += [(child, depth + 1) for child in reversed(children)]

    def _payload(self, page: bytes, position: int) -> bytes:
        size, position = _varint(page, position)
        _, position = _varint(page, position)
        check_header(size, self._budget)
        local = size
        if size > self._usable - 35:
            least = (self._usable - 12) * 32 // 255 - 23
            local = least + (size - least) % (self._usable - 4)
            local = local if local <= self._usable - 35 else least
        if position + local + (4 if local < size else 0) > self._usable:
            raise Broken("a row of SQLite goes beyond its page")
        parts = [page[position : position + local]]
        missing = size - local
        overflow = _number(page, position + local) if missing else 0
        while missing:
            more = self._page(overflow)
            part = more[4 : min(self._usable, 4 + missing)]
            parts.append(part)
            missing -= len(part)
            overflow = _number(more, 0)
        return b"".join(parts)

    @staticmethod
    def _record(payload: bytes) -> list[Value]:
        end, position = _varint(payload, 0)
        if not position <= end <= len(payload):
            raise Broken("the header of a row of SQLite is longer than the row")
        values: list[Value] = []
        content = end
        while position < end:
            kind, position = _varint(payload, position)
            width = _WIDTHS[kind] if kind < 10 else (kind - 12) // 2
            if kind in (10, 11) or content + width > len(payload) or len(values) >= MAX_COLUMNS:
                raise Broken("a row of SQLite has values beyond its end")
            data = payload[content : content + width]
            content += width
            if kind >= 12:
                values.append(data)
            elif kind in (0, 7):
                values.append(None)
            else:
                values.append(kind - 8 if kind in (8, 9) else int.from_bytes(data, "big", signed=True))
        return values


def _number(page: bytes, position: int) -> int:
    if position + 4 > len(page):
        raise Broken("a page of SQLite refers beyond its end")
    return int.from_bytes(page[position : position + 4], "big")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(9):
        if position + index >= len(data):
            break
        byte = data[position + index]
        if index == 8:
            return value << 8 | byte, position + 9
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            return value, position + index + 1
    raise Broken("a number in a page of SQLite does not end")


def _checksum(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = sums
    for left, right in struct.iter_unpack(order + "II", data):
        first = (first + left + second) & 0xFFFFFFFF
        second = (second + right + first) & 0xFFFFFFFF
    return first, second
