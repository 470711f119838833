"""Frames to and from the engine over one descriptor, with no import but `os` and `sys`."""

from __future__ import annotations

import os
import sys

from . import wire
from ._json import dumps_text, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_MAX_DESCRIPTORS = 253
"""As many as one message can carry (SCM_MAX_FD, unix(7))."""


class Closed(Exception):
    """The engine has closed the channel."""


class Channel:
    """A connected stream socket that carries frames. One thread receives; any thread may send."""

    def __init__(self, fd: int) -> None:
        from _thread import allocate_lock

        self._fd = fd
        self._buffer = bytearray()
        self._descriptors: list[int] = []
        self._lock = allocate_lock()

    def has_more(self) -> bool:
        """Return True if a whole frame has been read from the socket and not yet been received."""
        buffer = self._buffer
        return len(buffer) >= wire.HEADER_BYTES and len(buffer) >= wire.HEADER_BYTES + int.from_bytes(
            buffer[4:8], "little"
        )

    def receive(self) -> tuple[int, bytes]:
        """Wait for the next frame, and return its type and its payload. Raises Closed."""
        buffer = self._buffer
        while not self.has_more():
            part = os.read(self._fd, 1 << 16)
            if not part:
                raise Closed
            buffer += part
        end = wire.HEADER_BYTES + int.from_bytes(buffer[4:8], "little")
        kind = int.from_bytes(buffer[:4], "little")
        payload = bytes(buffer[wire.HEADER_BYTES : end])
        del buffer[:end]
        return kind, payload

    def receive_with_descriptors(self) -> tuple[int, bytes]:
        """Receive as :meth:`receive` does, and keep the descriptors that come with the frames. Raises Closed."""
        import _socket

        descriptors: list[int] = []
        connection = _socket.socket(fileno=self._fd)
        try:
            buffer = self._buffer
            while not self.has_more():
                part, messages, _, _ = connection.recvmsg(1 << 16, _socket.CMSG_SPACE(4 * _MAX_DESCRIPTORS))
                for _, _, data in messages:
                    descriptors += [
                        int.from_bytes(data[index : index + 4], sys.byteorder) for index in range(0, len(data), 4)
                    ]
                if not part:
                    raise Closed
                buffer += part
        finally:
            connection.detach()
        self._descriptors += descriptors
        return self.receive()

    def take_descriptors(self) -> list[int]:
        """Return the descriptors that have come, in order; they are the caller's now."""
        descriptors, self._descriptors = self._descriptors, []
        return descriptors

    def receive_json(self, expected: int) -> dict[str, Any]:
        """Wait for a frame of the type `expected`, and return its JSON object. Raises Closed, or ValueError."""
        kind, payload = self.receive()
        if kind != expected:
            raise ValueError(f"the engine sent a frame of type {kind} in place of type {expected}")
        value: dict[str, Any] = loads(payload.decode())
        return value

    def send(self, kind: int, payload: bytes = b"") -> None:
        """Send one frame. Raises Closed."""
        data = memoryview(kind.to_bytes(4, "little") + len(payload).to_bytes(4, "little") + payload)
        with self._lock:
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except (BrokenPipeError, ConnectionResetError):
                raise Closed from None

    def send_json(self, kind: int, value: dict[str, Any]) -> None:
        """Send one frame with `value` as its JSON payload. Raises Closed, or TypeError if JSON has no such value."""
        self.send(kind, dumps_text(value).encode())

    def send_number(self, kind: int, number: int) -> None:
        """Send one frame with an unsigned 64-bit integer as its payload. Raises Closed."""
        self.send(kind, number.to_bytes(8, "little"))
