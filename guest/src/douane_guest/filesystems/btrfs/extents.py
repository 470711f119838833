"""The bytes of a file: inline, on the disk, compressed, or shared with other files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported

from .chunks import ChunkMap
from .compression import MAX_EXTENT, decompress
from .keys import EXTENT_DATA, LAST, Key
from .tree import Items

_HEAD = struct.Struct("<QQBBHB")
_TAIL = struct.Struct("<QQQQ")
INLINE, REGULAR, PREALLOCATED = 0, 1, 2
PIECE = 1 << 20


class FileExtent(NamedTuple):
    """A range of a file."""

    start: int
    size: int
    """Bytes of the file."""

    kind: int
    compression: int
    plain_size: int
    """Bytes of the whole extent, decompressed."""

    address: int
    """0: a hole."""

    stored_size: int
    skip: int
    """Where in the (decompressed) extent the range begins."""

    inline: bytes


def parse_extent(key: Key, item: bytes, sector_size: int) -> FileExtent:
    """An item of a file. Raises Broken where the kernel's tree checker refuses it."""
    if len(item) < _HEAD.size:
        raise Broken(f"an extent of inode {key[0]} has an item of {len(item)} bytes")
    _, plain_size, compression, encryption, encoding, kind = _HEAD.unpack_from(item)
    if encryption:
        raise Unsupported("a file is encrypted", "guest-encrypted")
    if encoding:
        raise Unsupported(f"a file has the encoding {encoding}, which is not known")
    start = key[2]
    if kind == INLINE:
        inline = item[_HEAD.size :]
        if start or plain_size > MAX_EXTENT or not (compression or plain_size == len(inline)):
            raise Broken(f"the inline extent of inode {key[0]} at {start} has {len(inline)} of {plain_size} bytes")
        return FileExtent(0, plain_size, kind, compression, plain_size, 0, len(inline), 0, inline)
    if kind not in (REGULAR, PREALLOCATED) or len(item) != _HEAD.size + _TAIL.size:
        raise Broken(f"an extent of inode {key[0]} has type {kind} and an item of {len(item)} bytes")
    address, stored_size, skip, count = _TAIL.unpack_from(item, _HEAD.size)
    if not count or (start | address | stored_size | skip | count) % sector_size or start + count > 1 << 63:
        raise Broken(f"an extent of inode {key[0]} is not one of whole sectors: {count} bytes at {start}")
    if address and skip + count > (plain_size if compression else stored_size):
        raise Broken(f"an extent of inode {key[0]} is shorter than its part in the file")
    if address and compression and max(plain_size, stored_size) > MAX_EXTENT:
        raise Broken(f"a compressed extent of inode {key[0]} has {plain_size} bytes")
    return FileExtent(start, count, kind, compression, plain_size, address, stored_size, skip, b"")


class FileReader:
    """Reads files; keeps the extent that was decompressed last, since ranges of it often follow each other."""

    def __init__(self, chunks: ChunkMap, sector_size: int, budget: Budget) -> None:
        self._chunks = chunks
        self._sector_size = sector_size
        self._budget = budget
        self._last: tuple[tuple[int, int, int, int], bytes] = ((0, 0, 0, 0), b"")

    def extents(self, items: Items, number: int, start: int = 0) -> Iterator[FileExtent]:
        """The extents of an inode from the one on in which `start` is. Raises Broken if two overlap."""
        first = items.floor((number, EXTENT_DATA, start))
        if first[:2] != (number, EXTENT_DATA):
            first = (number, EXTENT_DATA, 0)
        end = 0
        for key, item in items.items(first, (number, EXTENT_DATA, LAST)):
            self._budget.step()
            extent = parse_extent(key, item, self._sector_size)
            if extent.start < end:
                raise Broken(f"two extents of inode {number} overlap at {extent.start}")
            end = extent.start + extent.size
            if extent.kind == INLINE:
                end = -(-end // self._sector_size) * self._sector_size
            yield extent

    def chunks(self, items: Items, number: int, size: int, start: int) -> Iterator[tuple[int, bytes]]:
        """See `base.FileSystem`."""
        for extent in self.extents(items, number, start):
            if extent.start >= size:
                return
            count = min(extent.size, size - extent.start)
            if not count or extent.start + count <= start or extent.kind == PREALLOCATED:
                continue
            if extent.kind == INLINE or extent.compression:
                if extent.kind == INLINE or extent.address:
                    self._budget.deliver(count)
                    yield extent.start, self._plain(extent)[extent.skip : extent.skip + count]
            elif extent.address:
                yield from self._stored(extent, count, start)

    def _stored(self, extent: FileExtent, count: int, start: int) -> Iterator[tuple[int, bytes]]:
        position = max(start - extent.start, 0) // PIECE * PIECE
        while position < count:
            length = min(PIECE, count - position)
            self._budget.step()
            self._budget.deliver(length)
            yield extent.start + position, self._chunks.read(extent.address + extent.skip + position, length)
            position += length

    def _plain(self, extent: FileExtent) -> bytes:
        if not extent.compression:
            return extent.inline
        if extent.kind == INLINE:
            return decompress(extent.compression, extent.inline, extent.plain_size, self._sector_size)
        key = (extent.address, extent.stored_size, extent.plain_size, extent.compression)
        if self._last[0] != key:
            self._budget.step(extent.plain_size // self._sector_size)
            data = self._chunks.read(extent.address, extent.stored_size)
            self._last = (key, decompress(extent.compression, data, extent.plain_size, self._sector_size))
        return self._last[1]
