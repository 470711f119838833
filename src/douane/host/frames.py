"""The engine's end of a plugin's channel: what comes in is hostile until shown otherwise."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import msgspec

from douane_plugin import wire

READ_BYTES = 1 << 16


class Violation(Exception):
    """The plugin's process said something that the wire does not allow; the text says what."""


class Frames:
    """Splits what was received into frames. `closed` is True after the other side has hung up."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._buffer = bytearray()
        self.closed = False

    def receive(self) -> int:
        """Read once, without blocking; the number of bytes that came."""
        try:
            data = self._channel.recv(READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError:  # reset: it ended with something unread
            data = b""
        if not data:
            self.closed = True
        self._buffer += data
        return len(data)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
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


def pack(kind: int, value: Any) -> bytes:
    """One frame with `value` as JSON."""
    payload = msgspec.json.encode(value)
    return kind.to_bytes(4, "little") + len(payload).to_bytes(4, "little") + payload


def unpack(kind: int, payload: bytes) -> dict[str, Any]:
    """The JSON object of a frame. Raises Violation."""
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Violation(f"its {wire.TYPES.get(kind, kind)} frame is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Violation(f"its {wire.TYPES.get(kind, kind)} frame is no JSON object")
    return value


def number(kind: int, payload: bytes) -> int:
    """The integer of a binary frame. Raises Violation."""
    if len(payload) != 8:
        raise Violation(f"its {wire.TYPES.get(kind, kind)} frame has {len(payload)} bytes, not 8")
    return int.from_bytes(payload, "little")


def text(value: dict[str, Any], key: str) -> str:
    """A string of a JSON frame. Raises Violation."""
    found = value.get(key)
    if not isinstance(found, str):
        raise Violation(f"{key!r} in its answer is {found!r:.60}, not a text")
    return found
