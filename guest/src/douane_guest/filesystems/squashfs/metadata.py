"""Metadata blocks: 8 KiB each, compressed, behind one another; everything but the bytes of files is in them."""

from __future__ import annotations

import struct
from collections import OrderedDict

from douane_guest.budget import Budget, check_size
from douane_guest.errors import Broken
from douane_guest.source import Source

from .superblock import Decompress

METADATA_BLOCK = 8192
UNCOMPRESSED = 0x8000
BLOCKS_KEPT = 256
PLACES_KEPT = 4096


class Metadata:
    """Reads them; the last 256 are kept, 2 MiB."""

    def __init__(self, source: Source, used: int, decompress: Decompress, budget: Budget) -> None:
        self._source = source
        self._used = used
        self._decompress = decompress
        self._budget = budget
        self._cache: OrderedDict[int, tuple[bytes, int]] = OrderedDict()

    def block(self, start: int) -> tuple[bytes, int]:
        """The block at a byte of the image, and where the next one starts."""
        cached = self._cache.get(start)
        if cached is not None:
            self._cache.move_to_end(start)
            return cached
        self._budget.step(16)
        if start + 2 > self._used:
            raise Broken(f"a metadata block of the squashfs lies at {start}, beyond its end")
        head = int.from_bytes(self._source.pread(start, 2), "little")
        count = head & ~UNCOMPRESSED
        if not 0 < count <= METADATA_BLOCK or start + 2 + count > self._used:
            raise Broken(f"the metadata block at {start} says that it has {count} bytes")
        data = self._source.pread(start + 2, count)
        if not head & UNCOMPRESSED:
            data = self._decompress(data, METADATA_BLOCK)
        cached = data, start + 2 + count
        self._cache[start] = cached
        if len(self._cache) > BLOCKS_KEPT:
            self._cache.popitem(last=False)
        return cached

    def read(self, start: int, offset: int, count: int) -> tuple[bytes, int, int]:
        """`count` bytes from `offset` of the block at `start` on, and the place behind them."""
        check_size(count, "a structure of the squashfs")
        data, following = self.block(start)
        if offset > len(data):
            raise Broken(f"a structure begins at byte {offset} of the metadata block at {start}, beyond its end")
        if offset + count <= len(data):
            return data[offset : offset + count], start, offset + count
        pieces = [data[offset:]]
        missing = count - len(pieces[0])
        while missing:
            start = following
            data, following = self.block(start)
            if not data:
                raise Broken(f"the metadata block at {start} is empty")
            pieces.append(data[:missing])
            offset = len(pieces[-1])
            missing -= offset
        return b"".join(pieces), start, offset


class Table:
    """Records of one size in metadata blocks, which are found by a list of their places."""

    def __init__(self, source: Source, metadata: Metadata, start: int, records: int, record: struct.Struct) -> None:
        """`start`: of the list of places, which is not compressed."""
        self._source = source
        self._start = start
        self._metadata = metadata
        self._record = record
        self._records = records
        self._per_block = METADATA_BLOCK // record.size
        self._places: dict[int, int] = {}

    def __getitem__(self, number: int) -> tuple[int, ...]:
        if not 0 <= number < self._records:
            raise Broken(f"number {number} of a table of the squashfs is named, which has {self._records}")
        data, _ = self._metadata.block(self._place(number // self._per_block))
        offset = number % self._per_block * self._record.size
        if offset + self._record.size > len(data):
            raise Broken(f"number {number} of a table of the squashfs lies beyond its block")
        return self._record.unpack_from(data, offset)

    def _place(self, index: int) -> int:
        place = self._places.get(index)
        if place is None:
            if len(self._places) >= PLACES_KEPT:
                self._places.clear()
            place = self._places[index] = int.from_bytes(self._source.pread(self._start + 8 * index, 8), "little")
        return place
