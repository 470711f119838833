"""The engine's end of a plugin's channel, which splits a hostile stream of bytes into frames."""

from __future__ import annotations

import array
import socket
from collections.abc import Iterator, Sequence

import msgspec

from douane_plugin import wire

from .messages import Violation

READ_BYTES = 1 << 16


class Channel:
    """A connected socket that never blocks. `closed` is True after the other side has hung up."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.closed = False
        self._buffer = bytearray()
        self._outbox = b""

    def fileno(self) -> int:
        """The descriptor, for the loop."""
        return self.socket.fileno()

    def receive(self) -> int:
        """Read once; the number of bytes that came."""
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError:  # reset: the process ended with something unread
            data = b""
        if not data:
            self.closed = True
        self._buffer += data
        return len(data)

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield the whole frames (type and payload) received so far. Raises Violation."""
        buffer = self._buffer
        while len(buffer) >= wire.HEADER_BYTES:
            kind = int.from_bytes(buffer[:4], "little")
            length = int.from_bytes(buffer[4:8], "little")
            if length > wire.MAX_PAYLOAD:
                raise Violation(f"it sent a frame of {length} bytes; at most {wire.MAX_PAYLOAD} are allowed")
            end = wire.HEADER_BYTES + length
            if len(buffer) < end:
                return
            payload = bytes(buffer[wire.HEADER_BYTES : end])
            del buffer[:end]
            yield kind, payload

    def send(self, frame: bytes) -> None:
        """Send `frame`, or keep what does not fit now for :meth:`flush`."""
        self._outbox += frame
        self.flush()

    def send_with_descriptors(self, frame: bytes, fds: Sequence[int]) -> None:
        """Send `frame` with copies of `fds`, at once: nothing may wait for :meth:`flush`. Raises OSError."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        self._outbox = frame[self.socket.sendmsg([frame], [rights]) :]

    def flush(self) -> None:
        """Send as much of the kept bytes as fits."""
        try:
            while self._outbox:
                self._outbox = self._outbox[self.socket.send(self._outbox) :]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._outbox = b""  # the process has ended; the loop hears of it by the pidfd

    @property
    def has_partial_frame(self) -> bool:
        """True if the received bytes end in the middle of a frame."""
        return bool(self._buffer)

    @property
    def has_unsent(self) -> bool:
        """True while bytes wait for :meth:`flush`."""
        return bool(self._outbox)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def pack(kind: int, message: msgspec.Struct) -> bytes:
    """One frame with `message` as JSON."""
    payload = msgspec.json.encode(message)
    return kind.to_bytes(4, "little") + len(payload).to_bytes(4, "little") + payload
