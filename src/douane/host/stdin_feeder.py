"""Writing a ring into the standard input of a program."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from douane.stream.reader import ThreadReader
from douane.stream.ring import Chunk, Ring
from douane.stream.zeros import ZEROS


class StdinFeeder(ThreadReader):
    """Writes a ring into the standard input of a program, straight from the ring's memory.

    `overran` is called, from a thread of the ring, if the ring went on without this reader.
    """

    def __init__(self, ring: Ring, fd: int, *, essential: bool, overran: Callable[[], None]) -> None:
        super().__init__(ring, "feeder", lambda _: None)
        self.essential = essential
        self.sent = 0
        self.consumed = 0
        self.ended = False
        self._overran = overran
        self._fd = fd
        self._enough = False

    def push(self, chunks: Sequence[Chunk]) -> None:
        self.sent = chunks[-1].end
        super().push(chunks)

    def overrun(self) -> None:
        self._enough = True
        self.cancel()
        self._overran()

    def _read(self, chunk: Chunk) -> None:
        if self._enough:
            return
        if chunk.place is not None:
            with self._bytes(chunk) as view:
                self._feed(view, chunk.start)
            return
        remaining = chunk.end - chunk.start
        while remaining and not self._enough and not self._cancelled:
            part = min(remaining, len(ZEROS))
            self._feed(memoryview(ZEROS)[:part], chunk.end - remaining)
            remaining -= part

    def _feed(self, view: memoryview, offset: int) -> None:
        written = 0
        while written < len(view):
            try:
                written += os.write(self._fd, view[written:])
            except OSError:  # EPIPE: the program has closed its input, it has seen enough
                self._enough = True
                return
            self.consumed = offset + written

    def _finish(self, size: int) -> None:
        os.close(self._fd)
        self._fd = -1
        self.ended = True

    def close(self) -> None:
        """Close the pipe, after `join`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
