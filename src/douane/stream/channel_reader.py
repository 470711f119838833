"""A plugin as a reader of the ring: what it has been sent, what it has let go of, how long it had work."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence

from douane_plugin import wire

from .ring import Chunk, Ring

_DATA = struct.Struct("<IIQQQ")
_HOLE = struct.Struct("<IIQQ")
_END = struct.Struct("<IIQQ")


class RingReader:
    """Turns chunks into frames on a plugin's channel. Its numbers change under the ring's lock only.

    `limit` is N for a plugin that reads ``head:N``. The last slots that such a plugin was sent stay held until
    it answers, so that no gigabytes are read of an image whose head is about to be refused.
    """

    def __init__(
        self,
        ring: Ring,
        channel: socket.socket,
        *,
        limit: int | None,
        essential: bool,
        overran: Callable[[], None],
    ) -> None:
        self.released = 0
        self.essential = essential
        self.sent = 0
        self.consumed = 0
        self.ended = False
        self.clogged = False
        self._ring = ring
        self._channel = channel
        self._limit = limit
        self._overran = overran

    def push(self, chunks: Sequence[Chunk]) -> None:
        frames = []
        for chunk in chunks:
            if self.ended:
                break
            end = chunk.end
            if self._limit is not None:
                if chunk.start >= self._limit:
                    frames.append(self._end(self._limit, goes_on=True))
                    break
                end = min(end, self._limit)
            self.sent = end
            length = end - chunk.start
            if chunk.place is None:
                frames.append(_HOLE.pack(wire.HOLE, 16, chunk.start, length))
            else:
                frames.append(_DATA.pack(wire.DATA, 24, chunk.start, chunk.place, length))
            if end < chunk.end:
                frames.append(self._end(end, goes_on=True))
        if frames:
            self._send(b"".join(frames))

    def finish(self, size: int) -> None:
        if not self.ended:
            self._send(self._end(size, goes_on=False))

    def overrun(self) -> None:
        self._overran()

    def _end(self, offset: int, *, goes_on: bool) -> bytes:
        self.ended = True
        return _END.pack(wire.END, 16, offset, goes_on)

    def _send(self, frames: bytes) -> None:
        try:
            if self._channel.send(frames) != len(frames):
                self.clogged = True
        except BlockingIOError:
            self.clogged = True  # it lets slots go without ever reading what it is told
        except OSError:
            pass  # it has ended; the loop hears of that by its pidfd

    def released_to(self, offset: int) -> bool:
        """The plugin says that it has let go up to `offset`; False if that cannot be true."""
        with self._ring.changed:
            if not self.released < offset <= self.sent:
                return False
            self.consumed = max(self.consumed, offset)
            self._ring.release(self, offset)
            return True

    def reached(self, offset: int) -> bool:
        """The plugin says that it has come to `offset` without letting go; False if that cannot be true."""
        with self._ring.changed:
            if offset > self.sent:
                return False
            self.consumed = max(self.consumed, offset)
            return True

    def detach(self) -> None:
        """It has answered, or is no more."""
        self._ring.detach(self)
