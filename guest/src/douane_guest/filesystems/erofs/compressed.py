"""Compressed files: their extents in order, and at random for the packed inode, which holds the tails of others."""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Callable, Iterator

from douane_guest.budget import Budget, check_size
from douane_guest.errors import Broken
from douane_guest.source import Source, check_range

from .index import (
    FRAGMENT,
    INLINE,
    INTERLACED,
    MAP_HEAD,
    PLAIN,
    Cluster,
    Extent,
    Map,
    compact_clusters,
    extents_of,
    full_clusters,
    read_map,
)
from .inode import LAYOUT_FULL, Inode
from .pieces import algorithm_of, check_extent, decompress, plain

PIECES_KEPT = 4
PIECE = 1 << 20
EXTENT_BYTES = 160
"""About, of memory, for each extent that is kept."""

Packed = Callable[[int, int], bytes]
"""Reads `count` bytes at an offset of the packed inode."""


class CompressedFile:
    """One file."""

    def __init__(
        self, source: Source, inode: Inode, block_log: int, budget: Budget, *, padded: bool, packed: Packed
    ) -> None:
        self._source = source
        self._inode = inode
        self._block_log = block_log
        self._budget = budget
        self._padded = padded
        self._packed = packed
        place = inode.after + -inode.after % 8
        full = inode.layout == LAYOUT_FULL
        self._map: Map = read_map(source.pread(place, MAP_HEAD.size), place, block_log, full=full)
        if not self._map.is_packed and self._map.advise & INLINE and self._map.advise & FRAGMENT:
            raise Broken("the end of a file of the erofs is in two places")

    def _clusters(self) -> Iterator[Cluster]:
        count = -(-self._inode.size // (1 << self._map.cluster_log))
        read = full_clusters if self._inode.layout == LAYOUT_FULL else compact_clusters
        return read(self._source, self._map, count)

    def extents(self) -> Iterator[Extent]:
        """In the order of the file."""
        return extents_of(self._clusters(), self._map, self._inode.size, self._block_log, self._budget)

    def chunks(self, start: int) -> Iterator[tuple[int, bytes]]:
        """The bytes from the extent on that holds `start`."""
        if self._map.is_packed:
            yield from self._tail(0, self._inode.size, self._map.raw & ~(1 << 63), start)
            return
        for extent in self.extents():
            if extent.start + extent.size <= start or not extent.size:
                continue
            if extent.is_last and self._map.advise & FRAGMENT:
                high = (extent.place >> self._block_log) << 32 if self._inode.layout == LAYOUT_FULL else 0
                yield from self._tail(extent.start, extent.size, self._map.low | high, start)
                return
            data = self.data(extent)
            for offset in range(0, len(data), PIECE):
                yield extent.start + offset, data[offset : offset + PIECE]

    def _tail(self, offset: int, size: int, place: int, start: int) -> Iterator[tuple[int, bytes]]:
        """A part of the packed inode."""
        for position in range(0, size, PIECE):
            count = min(PIECE, size - position)
            if offset + position + count > start:
                yield offset + position, self._packed(place + position, count)

    def data(self, extent: Extent) -> bytes:
        """What a compressed piece becomes. Raises Broken and Unsupported."""
        check_extent(extent)
        self._budget.step(16)
        place, stored = extent.place, extent.stored
        if extent.is_last and self._map.advise & INLINE:
            place, stored = extent.pack_end, self._map.low >> 16
            if not stored:
                raise Broken("the end of a file of the erofs has no bytes")
        data = self._source.pread(place, stored)
        if extent.kind == PLAIN:
            interlaced = bool(self._map.advise & INTERLACED)
            return plain(data, extent, 1 << self._block_log, interlaced=interlaced)
        return decompress(
            algorithm_of(extent, self._map), data, extent.size, padded=self._padded, partly=extent.partial
        )


class PackedFile:
    """The packed inode, at random; the last four pieces are kept."""

    def __init__(self, file: CompressedFile, size: int) -> None:
        self.size = size
        self._file = file
        self._extents: list[Extent] = []
        for extent in file.extents():
            self._extents.append(extent)
            check_size(EXTENT_BYTES * len(self._extents), "the index of the packed inode of the erofs")
        self._starts = [extent.start for extent in self._extents]
        self._cache: OrderedDict[int, bytes] = OrderedDict()

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`~douane_guest.source.Source`."""
        check_range(self, offset, count)
        pieces = []
        while count:
            number = bisect.bisect_right(self._starts, offset) - 1
            skipped = offset - self._starts[number]
            piece = self._piece(number)[skipped : skipped + count]
            if not piece:
                raise Broken("the packed inode of the erofs has a gap")
            pieces.append(piece)
            offset += len(piece)
            count -= len(piece)
        return b"".join(pieces)

    def _piece(self, number: int) -> bytes:
        if number not in self._cache:
            self._cache[number] = self._file.data(self._extents[number])
            if len(self._cache) > PIECES_KEPT:
                self._cache.popitem(last=False)
        self._cache.move_to_end(number)
        return self._cache[number]
