"""A file that is open with O_DIRECT: it is read in whole blocks, and ahead where one read follows another."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections import OrderedDict
from queue import SimpleQueue
from threading import Thread

from .errors import Broken
from .source import FileSource, check_range

PIECE, RUN = 64 << 10, 2 << 20
"""Bytes that are read at once: here and there; and at most where one read follows another."""
PIECES, RUNS = 32, 3
"""Of each, that are kept; one more run is read ahead."""


class DirectSource:
    """The page cache has no part in it (open(2), "NOTES"). What was written around the cache is on the disk alone, and
    reading 1.2 GB of it through the cache took 1.3 s of a processor more on the machine of docs/benchmarks.md.

    The kernel reads nothing ahead of such a file: a thread does, so that the disk works while the bytes are parsed.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size = os.lseek(fd, 0, os.SEEK_END)
        self._pieces: OrderedDict[int, bytes] = OrderedDict()
        self._runs: OrderedDict[int, memoryview] = OrderedDict()
        """By their starts, the oldest first."""

        self._buffer = _pages(PIECE)
        self._ahead: _Ahead | None = None
        self._spare: memoryview | None = None
        """Memory for a run."""

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
        data = self._pieces[first] = bytes(self._buffer[: _fill(self.fd, self._buffer, first, self.size)])
        return first, data

    def _read_run(self, start: int, length: int) -> memoryview:
        """Read on where a piece or a run ended, and begin to read what follows."""
        ahead = self._ahead
        if ahead is not None and ahead.start >= 0:
            is_next = ahead.start == start
            memory, filled = ahead.finish()
            if is_next and filled:
                return self._keep(start, memory, filled)
            self._spare = memory
        memory = self._memory()
        return self._keep(start, memory, _fill(self.fd, memory[:length], start, self.size))

    def _keep(self, start: int, memory: memoryview, filled: int) -> memoryview:
        run = self._runs[start] = memory[:filled]
        end = start + filled
        if filled == RUN and end < self.size:
            try:
                self._ahead = self._ahead or _Ahead(self.fd, self.size)
            except RuntimeError:  # the sandbox allows no more threads: each run is read when it is needed
                return run
            self._ahead.begin(self._memory(), end)
        return run

    def _memory(self) -> memoryview:
        """Memory for a run: the spare one, new one, or that of the oldest run."""
        spare, self._spare = self._spare, None
        if spare is not None:
            return spare
        if len(self._runs) <= RUNS:
            return _pages(RUN)
        return memoryview(self._runs.popitem(last=False)[1].obj)


class _Ahead:
    """A thread that reads a run while the one before it is parsed. It ends with its owner."""

    def __init__(self, fd: int, size: int) -> None:
        self.start = -1
        """Of the run that is read; -1: none is."""

        self._requests: SimpleQueue[tuple[memoryview, int] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[memoryview, int]] = SimpleQueue()
        Thread(target=_read_ahead, args=(fd, size, self._requests, self._results), daemon=True).start()

    def begin(self, memory: memoryview, start: int) -> None:
        """Read a run into `memory`."""
        self.start = start
        self._requests.put((memory, start))

    def finish(self) -> tuple[memoryview, int]:
        """The memory of the run that was begun, and how many bytes are in it; 0: they could not be read."""
        self.start = -1
        return self._results.get()

    def __del__(self) -> None:
        self._requests.put(None)


def _read_ahead(
    fd: int,
    size: int,
    requests: SimpleQueue[tuple[memoryview, int] | None],
    results: SimpleQueue[tuple[memoryview, int]],
) -> None:
    while (request := requests.get()) is not None:
        memory, start = request
        try:
            filled = _fill(fd, memory, start, size)
        except OSError:  # whoever needs these bytes reads them, and sees the error
            filled = 0
        results.put((memory, filled))


def _fill(fd: int, memory: memoryview, offset: int, size: int) -> int:
    """Read until `memory` is full or the file ends; return the number of bytes."""
    filled = 0
    while filled < len(memory) and offset + filled < size:
        count = os.preadv(fd, [memory[filled:]], offset + filled)
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
