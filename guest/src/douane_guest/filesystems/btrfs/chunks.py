"""Where logical addresses are on the device: chunks, and their copies."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch, Unsupported
from douane_guest.source import Source

from .keys import CHUNK_ITEM, CHUNK_TREE_OBJECT

_KEY = struct.Struct("<QBQ")
_CHUNK = struct.Struct("<QQQQIIIHH")
_STRIPE = struct.Struct("<QQ16s")
_DUP, _RAID1, _RAID1C3, _RAID1C4 = 1 << 5, 1 << 4, 1 << 9, 1 << 10
_STRIPED = {1 << 3: "RAID0", 1 << 6: "RAID10", 1 << 7: "RAID5", 1 << 8: "RAID6"}
_REMAPPED = 1 << 11
_MAX_CHUNKS = 1 << 17
"""A chunk has a GiB in file systems that are large enough to have many: 128 TiB."""


class Chunk(NamedTuple):
    """A range of logical addresses; each copy is in one piece."""

    start: int
    size: int
    copies: tuple[int, ...]
    """Offsets on the device."""


def parse_chunk(start: int, item: bytes, device: int) -> Chunk:
    """A chunk item. Raises Unsupported unless all that this device holds of it is in one piece."""
    if len(item) < _CHUNK.size:
        raise Broken(f"the chunk at {start} has an item of {len(item)} bytes")
    size, _, _, kind, _, _, _, stripes, _ = _CHUNK.unpack_from(item)
    if not size or not stripes or len(item) != _CHUNK.size + stripes * _STRIPE.size:
        raise Broken(f"the chunk at {start} has {size} bytes in {stripes} stripes and an item of {len(item)} bytes")
    if start + size > 1 << 64:
        raise Broken(f"the chunk at {start} has {size} bytes")
    if kind & _REMAPPED:
        raise Unsupported("chunks that are moved elsewhere are not read")
    for bit, profile in _STRIPED.items():
        if kind & bit and (stripes > 1 or profile in {"RAID5", "RAID6"}):
            raise Unsupported(f"{profile} needs the other devices")
    if stripes > 1 and not kind & (_DUP | _RAID1 | _RAID1C3 | _RAID1C4):
        raise Broken(f"the chunk at {start} has {stripes} stripes and no profile with several")
    places = [_STRIPE.unpack_from(item, _CHUNK.size + number * _STRIPE.size)[:2] for number in range(stripes)]
    copies = tuple(place for owner, place in places if owner == device)
    if not copies:
        raise Unsupported("a chunk is on another device")
    return Chunk(start, size, copies)


def system_chunks(data: bytes, device: int) -> Iterator[Chunk]:
    """The chunks in the superblock, by which the chunk tree is read."""
    position = 0
    while position < len(data):
        if position + _KEY.size + _CHUNK.size > len(data):
            raise Broken("the system chunks of the superblock end within one")
        number, kind, start = _KEY.unpack_from(data, position)
        if kind != CHUNK_ITEM or number != CHUNK_TREE_OBJECT:
            raise Broken(f"the superblock has an item of type {kind} among its chunks")
        position += _KEY.size
        stripes = _CHUNK.unpack_from(data, position)[7]
        size = _CHUNK.size + stripes * _STRIPE.size
        if position + size > len(data):
            raise Broken("the system chunks of the superblock end within one")
        yield parse_chunk(start, data[position : position + size], device)
        position += size


class ChunkMap:
    """All chunks, sorted."""

    def __init__(self, source: Source, budget: Budget) -> None:
        self._source = source
        self._budget = budget
        self._chunks: list[Chunk] = []
        self._starts: list[int] = []

    def replace(self, chunks: Iterator[Chunk]) -> None:
        """Raises Broken if two overlap, in addresses or on the device, or one lies beyond its end."""
        listed = []
        for chunk in chunks:
            self._budget.step()
            listed.append(chunk)
            if len(listed) > _MAX_CHUNKS:
                raise TooMuch(f"the file system has more than {_MAX_CHUNKS} chunks")
        listed.sort()
        _check_apart([(chunk.start, chunk.size) for chunk in listed], "have the same addresses")
        places = sorted((copy, chunk.size) for chunk in listed for copy in chunk.copies)
        _check_apart(places, "are at the same place")
        if places and sum(places[-1]) > self._source.size:
            raise Broken(f"a chunk ends at byte {sum(places[-1])} of a device of {self._source.size}")
        self._chunks = listed
        self._starts = [chunk.start for chunk in listed]

    def places(self, logical: int, count: int) -> tuple[tuple[int, ...], int]:
        """The offsets of the copies of `logical`, and how many of `count` bytes are in the same chunk."""
        index = bisect_right(self._starts, logical) - 1
        if index >= 0:
            chunk = self._chunks[index]
            inside = logical - chunk.start
            if inside < chunk.size:
                return tuple(copy + inside for copy in chunk.copies), min(count, chunk.size - inside)
        raise Broken(f"the logical address {logical} is in no chunk")

    def copies(self, logical: int, count: int) -> Iterator[bytes]:
        """The copies of a node, in the order in which the kernel tries them."""
        places, inside = self.places(logical, count)
        if inside < count:
            raise Broken(f"a node at {logical} ends in another chunk")
        for place in places:
            yield self._source.pread(place, count)

    def read(self, logical: int, count: int) -> bytes:
        """Data. Copies that differ are a contradiction: which of them the guest sees depends on its checksums."""
        pieces = []
        while count:
            places, inside = self.places(logical, count)
            data = self._source.pread(places[0], inside)
            for place in places[1:]:
                if self._source.pread(place, inside) != data:
                    raise Broken(f"the copies of the data at {logical} differ")
            pieces.append(data)
            logical += inside
            count -= inside
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _check_apart(ranges: list[tuple[int, int]], fault: str) -> None:
    end = 0
    for start, size in ranges:
        if start < end:
            raise Broken(f"two chunks {fault}: {start}")
        end = start + size
