"""A plugin process as a reader of a ring: chunks become frames on its channel."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence

from douane_plugin import wire

from .ring import Chunk, Ring

_DATA = struct.Struct("<IIQQQ")
_HOLE = struct.Struct("<IIQQ")
_END = struct.Struct("<IIQQ")


class ChannelReader:
    """Sends the chunks of a ring to a plugin process. Its attributes change under the ring's lock only.

    `limit` is N for a plugin that reads ``head:N``. The ring keeps the last slots that such a plugin was sent until it
    answers, so that no gigabytes are read of an image whose head is about to be refused.
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
        """The offset up to which frames were sent."""
        self.consumed = 0
        """The offset up to which the plugin says that it has read."""
        self.ended = False
        """True when END was sent."""
        self.clogged = False
        """True if the plugin did not read its channel, so that a frame was lost."""
        self._ring = ring
        self._channel = channel
        self._limit = limit
        self._overran = overran

    def push(self, chunks: Sequence[Chunk]) -> None:
        """See :class:`Reader`."""
        frames = []
        for chunk in chunks:
            if self.ended:
                break
            end = chunk.end
            if self._limit is not None:
                if chunk.start >= self._limit:
                    frames.append(self._end(self._limit, continues=True))
                    break
                end = min(end, self._limit)
            self.sent = end
            length = end - chunk.start
            if chunk.place is None:
                frames.append(_HOLE.pack(wire.HOLE, 16, chunk.start, length))
            else:
                frames.append(_DATA.pack(wire.DATA, 24, chunk.start, chunk.place, length))
            if end < chunk.end:
                frames.append(self._end(end, continues=True))
        if frames:
            self._send(b"".join(frames))

    def finish(self, size: int) -> None:
        """See :class:`Reader`."""
        if not self.ended:
            self._send(self._end(size, continues=False))

    def overrun(self) -> None:
        """See :class:`Reader`."""
        self._overran()

    def _end(self, offset: int, *, continues: bool) -> bytes:
        self.ended = True
        return _END.pack(wire.END, 16, offset, continues)

    def _send(self, frames: bytes) -> None:
        try:
            if self._channel.send(frames) != len(frames):
                self.clogged = True
        except BlockingIOError:
            self.clogged = True  # the plugin releases slots without ever reading its channel
        except OSError:
            pass  # the process has ended; the loop learns of that by its pidfd

    def released_to(self, offset: int) -> bool:
        """The plugin says that it no longer needs the bytes before `offset`; False if that cannot be true."""
        with self._ring.changed:
            if not self.released < offset <= self.sent:
                return False
            self.consumed = max(self.consumed, offset)
            self._ring.release(self, offset)
            return True

    def reached(self, offset: int) -> bool:
        """The plugin says that it has read up to `offset` and still needs the bytes; False if that cannot be true."""
        with self._ring.changed:
            if offset > self.sent:
                return False
            self.consumed = max(self.consumed, offset)
            return True

    @property
    def holds_ring(self) -> bool:
        """True while the ring waits for this plugin to release bytes that it says it has read."""
        return self.released < self.sent and self._ring.waits_for(self)

    def detach(self) -> None:
        """The plugin has answered, or its process has ended."""
        self._ring.detach(self)
