"""Chains of clusters: the file allocation table of FAT and of exFAT."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.source import Source

PIECE = 1 << 20
"""The most bytes that are read at once."""

_PAGE_ENTRIES = 1 << 14
_PAGES = 64
_FIRST = 2
_FROM_BAD = {12: 0xFF7, 16: 0xFFF7, 32: 0x0FFFFFF7}
_BAD_EXFAT = 0xFFFFFFF7


class Run(NamedTuple):
    """Clusters that lie one after the other."""

    cluster: int
    length: int


class Table:
    """The table, read in pages of 64 KiB of which 64 are kept."""

    def __init__(self, source: Source, place: int, bits: int, clusters: int, budget: Budget) -> None:
        """`bits`: 12, 16, 32, or 0 for exFAT, whose entries have 32 bits that all count."""
        self._source = source
        self._place = place
        self._end = clusters + _FIRST
        self._budget = budget
        self._bits = bits
        self._code = "H" if bits in (12, 16) else "I"
        self._mask = 0x0FFFFFFF if bits == 32 else 0xFFFFFFFF
        self._bad = _FROM_BAD.get(bits, _BAD_EXFAT)
        self._pages: dict[int, array[int]] = {}

    def check(self, cluster: int) -> None:
        """Raises Broken unless the cluster exists."""
        if not _FIRST <= cluster < self._end:
            raise Broken(f"a chain goes to cluster {cluster}, and there are {self._end - _FIRST} from 2 on")

    def entry(self, cluster: int) -> int:
        """What the table says of a cluster that exists."""
        number, index = divmod(cluster, _PAGE_ENTRIES)
        page = self._pages.get(number)
        if page is None:
            page = self._load(number)
        return page[index] & self._mask

    def runs(self, first: int, count: int | None, most: int) -> Iterator[Run]:
        """The chain from a cluster on, in runs of at most `most` clusters; `count` clusters of it, or all of them.

        Raises Broken for a chain that is shorter than `count`, or returns to itself (Brent's algorithm)."""
        self.check(first)
        if count is not None and count > self._end - _FIRST:
            raise Broken(f"a chain of {count} clusters is longer than the file system")
        start = cluster = mark = first
        walked, length, since, power = 1, 1, 0, 1
        while walked != count:
            after = self._after(cluster)
            if after is None:
                yield Run(start, length)
                if count is not None:
                    raise Broken(f"a chain ends after {walked} clusters, and the file has {count}")
                return
            since += 1
            if after == mark:
                raise Broken(f"the chain from cluster {first} on returns to cluster {after}")
            if since == power:
                mark, since, power = after, 0, power * 2
            walked += 1
            if after == cluster + 1 and length < most:
                length += 1
            else:
                self._budget.step(length)
                yield Run(start, length)
                start, length = after, 1
            cluster = after
        yield Run(start, length)

    def _after(self, cluster: int) -> int | None:
        """The next cluster of a chain; None at its end."""
        value = self.entry(cluster)
        if _FIRST <= value < self._end:
            return value
        if value > self._bad:
            return None
        raise Broken(f"the chain goes from cluster {cluster} to {value}, which is free, bad, or beyond the end")

    def _load(self, number: int) -> array[int]:
        first = number * _PAGE_ENTRIES
        entries = min(_PAGE_ENTRIES, self._end - first)
        if self._bits == 12:
            page = _unpack12(self._source.pread(self._place, (entries * 3 + 1) // 2), entries)
        else:
            page = array(self._code)
            size = page.itemsize
            page.frombytes(self._source.pread(self._place + first * size, entries * size))
            if sys.byteorder == "big":
                page.byteswap()
        while len(self._pages) >= _PAGES:
            del self._pages[next(iter(self._pages))]
        self._pages[number] = page
        return page


def _unpack12(data: bytes, entries: int) -> array[int]:
    """Two entries in three bytes; a FAT12 table is a single page."""
    page = array("H")
    for index in range(entries):
        place = index * 3 // 2
        pair = data[place] | data[place + 1] << 8
        page.append(pair >> 4 if index & 1 else pair & 0xFFF)
    return page


class Clusters:
    """Where the clusters lie, and the bytes of chains and of runs."""

    def __init__(self, source: Source, table: Table, data: int, size: int) -> None:
        """`data`: where cluster 2 begins; `size` of a cluster."""
        self._source = source
        self._table = table
        self._data = data
        self.size = size

    def place(self, cluster: int) -> int:
        """The byte at which it begins."""
        return self._data + (cluster - _FIRST) * self.size

    def pieces(
        self, first: int, size: int | None, start: int = 0, *, chained: bool = True
    ) -> Iterator[tuple[int, int, bytes]]:
        """The bytes of a chain as `(offset, place, data)`: `size` of them from `start` on, or all.

        Not `chained`: the clusters lie one after the other, and the table is not asked."""
        position = 0
        for run in self._runs(first, size, chained=chained):
            end = position + run.length * self.size
            if size is not None:
                end = min(end, size)
            begin = max(position, start - start % PIECE) if end > start else end
            while begin < end:
                place = self.place(run.cluster) + begin - position
                count = min(PIECE, end - begin)
                yield begin, place, self._source.pread(place, count)
                begin += count
            position = end

    def _runs(self, first: int, size: int | None, *, chained: bool) -> Iterator[Run]:
        count = None if size is None else -(-size // self.size)
        if count == 0:
            return
        if chained:
            yield from self._table.runs(first, count, max(1, PIECE // self.size))
            return
        self._table.check(first)
        if count is None or count < 1:
            raise Broken("clusters without a chain have no size")
        self._table.check(first + count - 1)
        yield Run(first, count)
