"""Write a ring into the standard input of a program."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from douane.stream.reader import ZEROS, ThreadReader
from douane.stream.ring import Chunk, Ring


class Feeder(ThreadReader):
    """Writes a ring into the standard input of a program, straight from the ring's memory."""

    def __init__(self, ring: Ring, fd: int, ended: Callable[[ThreadReader], None], *, essential: bool) -> None:
        super().__init__(ring, "feeder", ended)
        self.essential = essential
        self.sent = 0
        self.consumed = 0
        self._fd = fd
        self._enough = False
        self.overran = False
        self.ended = False

    def push(self, chunks: Sequence[Chunk]) -> None:
        self.sent = chunks[-1].end
        super().push(chunks)

    def overrun(self) -> None:
        self.overran = True
        self.cancel()

    def _take(self, chunk: Chunk) -> None:
        if self._enough or self.overran:
            return
        if chunk.place is not None:
            with self._bytes(chunk) as view:
                self._feed(view, chunk.start)
            return
        left = chunk.end - chunk.start
        while left and not self._enough and not self._cancelled:
            part = min(left, len(ZEROS))
            self._feed(memoryview(ZEROS)[:part], chunk.end - left)
            left -= part

    def _feed(self, view: memoryview, at: int) -> None:
        done = 0
        while done < len(view):
            try:
                done += os.write(self._fd, view[done:])
            except OSError:  # EPIPE: the program has closed its input, it has seen enough
                self._enough = True
                return
            self.consumed = at + done

    def _end(self, size: int) -> None:
        os.close(self._fd)
        self._fd = -1
        self.ended = True

    def close(self) -> None:
        """Close the pipe, after `join`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
