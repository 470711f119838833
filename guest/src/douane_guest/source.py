"""Bytes at any offset: what every reader reads from, and what containers, volumes and windows are.

A reader is given a :class:`Source` and never a file: the caller decides where the bytes come from.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections import OrderedDict
from typing import Protocol

from .errors import Broken


class Source(Protocol):
    """A disk, a partition, a volume, or the file of an image."""

    size: int
    """In bytes."""

    def pread(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes at `offset`; zeros where nothing was written. Raises Broken beyond the end, and for a
        structure on the way that is damaged."""


class FileSource:
    """An open file, or a device; the descriptor stays the caller's."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size = os.lseek(fd, 0, os.SEEK_END)

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`Source`."""
        check_range(self, offset, count)
        data = os.pread(self.fd, count, offset)
        while len(data) < count:
            more = os.pread(self.fd, count - len(data), offset + len(data))
            if not more:
                raise Broken(f"the file ended at byte {offset + len(data)} while it was read")
            data += more
        return data


PIECE, RUN = 64 << 10, 2 << 20
"""Bytes that are read at once: here and there; and at most where one read follows another."""
PIECES, RUNS = 32, 3
"""Of each, that are kept."""


class DirectSource:
    """A file that is open with O_DIRECT: it is read in whole blocks, and the page cache has no part in it (open(2),
    "NOTES"). What was written around the cache is on the disk alone, and reading 1.2 GB of it through the cache took
    1.3 s of a processor more on the machine of docs/benchmarks.md.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size = os.lseek(fd, 0, os.SEEK_END)
        self._pieces: OrderedDict[int, bytes] = OrderedDict()
        self._runs: OrderedDict[int, memoryview] = OrderedDict()
        """By their starts, the oldest first."""

        self._buffer = _pages(PIECE)

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`Source`."""
        check_range(self, offset, count)
        parts = []
        while count:
            start, data = self._around(offset)
            part = data[offset - start : offset - start + count]
            if not len(part):
                raise Broken(f"the file ended at byte {offset} while it was read")
            parts.append(bytes(part))  # the memory of a run may be that of the next one
            offset, count = offset + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _around(self, offset: int) -> tuple[int, bytes | memoryview]:
        """Bytes that hold the one at `offset`, and where they begin."""
        first = offset - offset % PIECE
        before = 0
        for start, run in self._runs.items():
            if start <= offset < start + len(run):
                return start, run
            if start + len(run) == first:
                before = len(run)
        if (data := self._pieces.get(first)) is not None:
            self._pieces.move_to_end(first)
            return first, data
        if before or first - PIECE in self._pieces:
            return first, self._read_run(first, min(2 * max(before, 4 * PIECE), RUN))
        if len(self._pieces) >= PIECES:
            self._pieces.popitem(last=False)
        data = self._pieces[first] = bytes(self._buffer[: self._fill(self._buffer, first)])
        return first, data

    def _read_run(self, start: int, length: int) -> memoryview:
        """Read on where a piece or a run ended, into the memory of the oldest run."""
        memory = _pages(RUN) if len(self._runs) < RUNS else memoryview(self._runs.popitem(last=False)[1].obj)
        run = self._runs[start] = memory[: self._fill(memory[:length], start)]
        return run

    def _fill(self, memory: memoryview, offset: int) -> int:
        """Read until `memory` is full or the file ends; return the number of bytes."""
        filled = 0
        while filled < len(memory) and offset + filled < self.size:
            count = os.preadv(self.fd, [memory[filled:]], offset + filled)
            filled += count
            if not count or count % mmap.PAGESIZE:
                break  # the end of the file
        return filled


def _pages(count: int) -> memoryview:
    """`count` bytes of memory that begins with a page."""
    return memoryview(mmap.mmap(-1, count, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def open_file(fd: int) -> FileSource | DirectSource:
    """A source for an open file, or a device; the descriptor stays the caller's."""
    if not fcntl.fcntl(fd, fcntl.F_GETFL) & getattr(os, "O_DIRECT", 0):
        return FileSource(fd)
    return DirectSource(fd)


class BytesSource:
    """Bytes in memory: a decompressed structure, or a test."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`Source`."""
        check_range(self, offset, count)
        return self.data[offset : offset + count]


class Window:
    """`size` bytes of another source from `start` on: a partition. Raises Broken if they are not in it."""

    def __init__(self, source: Source, start: int, size: int) -> None:
        if start < 0 or size < 0 or start + size > source.size:
            raise Broken(f"{size} bytes at {start} lie outside of the {source.size} bytes around them")
        self._source = source
        self.start = start
        self.size = size

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`Source`."""
        check_range(self, offset, count)
        return self._source.pread(self.start + offset, count)


def check_range(source: Source, offset: int, count: int) -> None:
    """Raises Broken unless the bytes lie in the source."""
    if offset < 0 or count < 0 or offset + count > source.size:
        raise Broken(f"{count} bytes at {offset} lie beyond the end, which is at {source.size}")
