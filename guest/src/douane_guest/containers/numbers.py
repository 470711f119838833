"""Tables of numbers in a file, of which only the pages that are asked for are read, and a few MiB are kept."""

from __future__ import annotations

import sys
from array import array
from typing import Literal

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.source import Source

_PAGE_BITS = 14
_PAGE = 1 << _PAGE_BITS
_KEPT = 256
"""Pages: 4 MiB."""


class Numbers:
    """Numbers of 4 (``I``) or 8 (``Q``) bytes at offsets that are multiples of their size."""

    def __init__(
        self, source: Source, budget: Budget, code: Literal["I", "Q"], order: Literal["big", "little"], empty: int = 0
    ) -> None:
        """`empty` is the byte that an unused entry consists of."""
        self._source, self._budget, self._code, self._order = source, budget, code, order
        self._bits = 2 if code == "I" else 3
        self._size = 1 << self._bits
        self._empty = bytes([empty])
        self._unused = int.from_bytes(self._empty * self._size, "big")
        self._pages: dict[int, array[int]] = {}

    def at(self, offset: int) -> int:
        """The number at `offset` in the file. Raises Broken if it is not in the file."""
        number = offset >> _PAGE_BITS
        page = self._pages.get(number)
        if page is None:
            page = self._load(number, offset)
        try:
            return page[(offset & _PAGE - 1) >> self._bits]
        except IndexError:
            raise Broken(f"a table has an entry at {offset}, beyond the end of the file") from None

    def next_used(self, offset: int, end: int) -> int:
        """The offset of the first entry from `offset` on that is not empty; `end` if there is none."""
        while offset < end:
            self._budget.step()
            page = self._pages.get(offset >> _PAGE_BITS)
            if page is None:
                page = self._load(offset >> _PAGE_BITS, offset)
            first = (offset & _PAGE - 1) >> self._bits
            rest = page[first:]
            if rest.tobytes().count(self._empty) != len(rest) * self._size:
                for index, value in enumerate(rest):
                    if value != self._unused:
                        return min(offset + (index << self._bits), end)
            offset = (offset >> _PAGE_BITS) + 1 << _PAGE_BITS
        return end

    def _load(self, number: int, offset: int) -> array[int]:
        start = number << _PAGE_BITS
        length = min(_PAGE, self._source.size - start) & -self._size
        if length <= offset - start or offset & self._size - 1:
            raise Broken(f"a table has an entry at {offset}, which is beyond the end of the file, or unaligned")
        page = array(self._code, self._source.pread(start, length))
        if sys.byteorder != self._order:
            page.byteswap()
        if len(self._pages) >= _KEPT:
            del self._pages[next(iter(self._pages))]
        self._pages[number] = page
        return page
