"""Blocks of an ext file system, and of one whose journal was replayed."""

from __future__ import annotations

from bisect import bisect_left

from douane_guest.errors import Broken
from douane_guest.source import Source

MAX_CACHED = 1 << 20
"""Bytes of metadata blocks that are kept."""


class Blocks:
    """Metadata blocks by number; the last ones are kept."""

    def __init__(self, source: Source, size: int, count: int) -> None:
        self.source = source
        self.size = size
        self.count = count
        self._cache: dict[int, bytes] = {}
        self._capacity = max(MAX_CACHED // size, 8)

    def read(self, number: int) -> bytes:
        """A block. Raises Broken if it lies outside of the file system."""
        data = self._cache.get(number)
        if data is None:
            self.check(number, 1)
            data = self.source.pread(number * self.size, self.size)
            if len(self._cache) >= self._capacity:
                del self._cache[next(iter(self._cache))]
            self._cache[number] = data
        return data

    def check(self, number: int, count: int) -> None:
        """Raises Broken unless the blocks lie in the file system. Block 0 has the superblock or the boot sector."""
        if number <= 0 or number + count > self.count:
            raise Broken(f"{count} blocks at {number} lie outside of an ext file system of {self.count} blocks")


class Replayed:
    """A source in which some blocks are read from the journal instead."""

    def __init__(self, source: Source, size: int, block_size: int, places: dict[int, int], magic: bytes) -> None:
        """`places`: the byte at which the journal has a block; negative (``~byte``) if its first four bytes are
        zeros in place of `magic`, which it must not have inside of a journal."""
        self.size = size
        self._source = source
        self._block_size = block_size
        self._places = places
        self._numbers = sorted(places)
        self._magic = magic

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`~douane_guest.source.Source`."""
        data = self._source.pread(offset, count)
        if not count:
            return data
        size, numbers = self._block_size, self._numbers
        index = bisect_left(numbers, offset // size)
        last = (offset + count - 1) // size
        if index == len(numbers) or numbers[index] > last:
            return data
        changed = bytearray(data)
        while index < len(numbers) and numbers[index] <= last:
            number = numbers[index]
            start, end = max(number * size, offset), min((number + 1) * size, offset + count)
            changed[start - offset : end - offset] = self._block(number)[start - number * size : end - number * size]
            index += 1
        return bytes(changed)

    def _block(self, number: int) -> bytes:
        place = self._places[number]
        if place < 0:
            return self._magic + self._source.pread(~place, self._block_size)[len(self._magic) :]
        return self._source.pread(place, self._block_size)
