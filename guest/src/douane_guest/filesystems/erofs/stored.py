"""Files that are stored as they are: in one extent, with their end behind the inode, or in chunks."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.source import Source, check_range

from .inode import LAYOUT_INLINE, Inode

HOLE = 0xFFFF_FFFF
CHUNK_LOG_MASK, CHUNK_INDEXES = 0x1F, 0x20
CHUNKS_AT_ONCE = 1024
PIECE = 1 << 20


class Stored:
    """Reads them."""

    def __init__(self, source: Source, block_log: int, devices: int, budget: Budget) -> None:
        """`devices`: how many others the file system has."""
        self._source = source
        self._block_log = block_log
        self._devices = devices
        self._budget = budget

    def flat(self, inode: Inode, start: int) -> Iterator[tuple[int, bytes]]:
        """One extent, and (inline) the rest of less than a block, or a block, behind the inode."""
        block_size = 1 << self._block_log
        in_tail = (inode.size - 1) % block_size + 1 if inode.layout == LAYOUT_INLINE else 0
        count = inode.size - in_tail
        yield from self._extent(0, inode.word << self._block_log, count, start)
        if in_tail:
            if inode.after % block_size + in_tail > block_size:
                raise Broken("the end of a file of the erofs lies in two blocks")
            yield count, self._source.pread(inode.after, in_tail)

    def _extent(self, offset: int, place: int, size: int, start: int) -> Iterator[tuple[int, bytes]]:
        if not size:
            return
        if self._devices and place + size > self._source.size:
            raise Unsupported("a file of the erofs is on another device")
        check_range(self._source, place, size)
        for position in range(0, size, PIECE):
            count = min(PIECE, size - position)
            if offset + position + count > start:
                self._budget.step()
                yield offset + position, self._source.pread(place + position, count)

    def chunked(self, inode: Inode, start: int) -> Iterator[tuple[int, bytes]]:
        """Extents of one size, each somewhere or a hole; neighbours are read at once."""
        form = inode.word & 0xFFFF
        if form & ~(CHUNK_LOG_MASK | CHUNK_INDEXES):
            raise Unsupported(f"a file of the erofs has chunks of the format {form:#x}")
        chunk_log = self._block_log + (form & CHUNK_LOG_MASK)
        begin, begin_place, length = 0, 0, 0
        for number, place in enumerate(self._chunk_places(inode, chunk_log, indexes=bool(form & CHUNK_INDEXES))):
            if place is None:
                continue
            offset = number << chunk_log
            size = min(1 << chunk_log, inode.size - offset)
            joins = begin + length == offset and begin_place + length == place
            if joins and length + size <= PIECE:
                length += size
                continue
            yield from self._extent(begin, begin_place, length, start)
            begin, begin_place, length = offset, place, size
        yield from self._extent(begin, begin_place, length, start)

    def _chunk_places(self, inode: Inode, chunk_log: int, *, indexes: bool) -> Iterator[int | None]:
        """Where each chunk is, None for a hole."""
        size = 8 if indexes else 4
        table = inode.after + -inode.after % size
        missing = -(-inode.size // (1 << chunk_log))
        while missing:
            count = min(missing, CHUNKS_AT_ONCE)
            self._budget.step(count)
            data = self._source.pread(table, count * size)
            table += count * size
            missing -= count
            for entry in struct.iter_unpack("<HHI" if indexes else "<I", data):
                if indexes and entry[1] and entry[-1] != HOLE:
                    raise Unsupported("a file of the erofs is on another device")
                yield None if entry[-1] == HOLE else entry[-1] << self._block_log
