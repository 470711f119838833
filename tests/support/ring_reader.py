"""A reader of a ring that keeps what it reads."""

from __future__ import annotations

from collections.abc import Sequence

from douane.stream.ring import Chunk, Ring
from douane.stream.source import Source


class Reader:
    """Copies every chunk at once."""

    essential = True

    def __init__(self, ring: Ring) -> None:
        self.released = 0
        self.content = b""
        self.holes = 0
        self._ring = ring

    def push(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            length = chunk.end - chunk.start
            if chunk.place is None:
                self.content += bytes(length)
                self.holes += length
            else:
                self.content += bytes(self._ring.view[chunk.place : chunk.place + length])
            self.released = chunk.end

    def finish(self, size: int) -> None:
        pass

    def overrun(self) -> None:
        pass


def pump(source: Source) -> Reader:
    """Let `source` fill a ring; return what came, or raise as the source does."""
    ring = Ring()
    reader = Reader(ring)
    ring.attach(reader)
    try:
        source.pump(ring)
    finally:
        source.close()
        ring.close()
    return reader
