"""The body of an upload as Glance reads it: each piece is inspected before Glance gets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

PIECE_BYTES = 1 << 16


class Input(Protocol):
    """What is used of ``wsgi.input`` (PEP 3333)."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


class PieceInspector(Protocol):
    """The inspection of a body."""

    def write(self, data: bytes) -> None:
        """Inspect the next bytes. Raises NotAccepted if the image is refused already."""

    def finish(self) -> None:
        """The body is complete: wait for the outcome. Raises NotAccepted unless the image is accepted."""

    def abort(self, reason: str) -> None:
        """Give the inspection up."""


class NotAccepted(Exception):
    """The image was refused. Glance, which is reading the body, discards it."""


class InspectedBody:
    """A file in the place of ``wsgi.input``. The inspection begins with the first read: if the request is wrong, Glance
    reads nothing, and there is nothing to inspect.

    The last bytes are held back until the outcome, so that Glance never has a complete image that is not accepted: it
    may stop at the announced length as well as at the end. `length` is the announced number of bytes, None if unknown.
    With `is_chunked` the body itself shows where it ends.
    """

    def __init__(
        self, body: Input, length: int | None, begin: Callable[[], PieceInspector], *, is_chunked: bool = False
    ) -> None:
        self._body = body
        self._length = length
        self._begin = begin
        self._is_chunked = is_chunked
        self._inspection: PieceInspector | None = None
        self._held_back: bytes | None = None  # without an announced length, any piece may be the last
        self._rest = b""
        self._has_failed = False
        self.received = 0
        """Bytes that came from the client."""
        self.is_complete = False
        """True when the whole body was received and accepted."""
        self.length_error: str | None = None
        """What is wrong with the body's length, if it is not the announced one."""

    def read(self, size: int | None = -1) -> bytes:
        """As files do, with fewer than `size` bytes at the end only (webob.request.LimitedLengthFile takes fewer for
        a client that is gone). Raises NotAccepted, which only the filter catches, and what the server's read raises.
        After an error every further read fails."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(PIECE_BYTES), b""))
        parts: list[bytes] = []
        while size:
            if not self._rest:
                self._rest = self._next(size)
            part, self._rest = self._rest[:size], self._rest[size:]
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def readline(self, size: int | None = -1) -> bytes:
        """As files do; Glance reads no image by lines."""
        line = bytearray()
        while (size is None or size < 0 or len(line) < size) and (byte := self.read(1)):
            line += byte
            if byte == b"\n":
                break
        return bytes(line)

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """As files do; Glance reads no image by lines."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def read_if_empty(self) -> None:
        """Inspect a body of announced length 0, of which Glance makes an image without a read. Raises NotAccepted."""
        if self._length == 0:
            self.read(1)

    def abandon(self, reason: str) -> None:
        """End the inspection unless it is complete: the request is over. Idempotent.

        It is not called ``close``: oslo.utils' format inspector, around the body in Glance, closes what has that name.
        """
        if self._inspection is not None and not self.is_complete:
            self._inspection.abort(reason)

    def _next(self, size: int) -> bytes:
        """The next piece for Glance, at most about `size` bytes; none at the end."""
        if self.is_complete:
            return b""
        if self._has_failed:
            raise NotAccepted("an earlier read of this body has failed")
        try:
            inspection = self._inspection
            if inspection is None:
                inspection = self._inspection = self._begin()
            if self._length is not None:
                return self._next_of_known_length(inspection, size, self._length)
            return self._next_of_unknown_length(inspection, size)
        except BaseException:  # whatever it was: bytes that follow would not be those that were inspected
            self._has_failed = True
            raise

    def _next_of_known_length(self, inspection: PieceInspector, size: int, length: int) -> bytes:
        remaining = length - self.received
        piece = self._receive_inspected(inspection, min(size, remaining)) if remaining > 0 else b""
        if self.received < length and not piece:
            raise self._wrong_length(inspection, f"it ended after {self.received} of {length} announced bytes")
        if self.received >= length:
            if self.received > length or (self._is_chunked and self._receive(inspection, 1)):
                raise self._wrong_length(inspection, f"it has more than the {length} announced bytes")
            inspection.finish()
            self.is_complete = True
        return piece

    def _next_of_unknown_length(self, inspection: PieceInspector, size: int) -> bytes:
        piece = self._receive_inspected(inspection, size)
        if self._held_back is None:
            self._held_back, piece = piece, self._receive_inspected(inspection, size) if piece else b""
        ready, self._held_back = self._held_back, piece
        if not piece:
            inspection.finish()
            self.is_complete = True
        return ready

    def _wrong_length(self, inspection: PieceInspector, message: str) -> NotAccepted:
        self.length_error = message
        inspection.abort(message)
        return NotAccepted(message)

    def _receive_inspected(self, inspection: PieceInspector, size: int) -> bytes:
        piece = self._receive(inspection, size)
        self.received += len(piece)
        if piece:
            inspection.write(piece)
        return piece

    def _receive(self, inspection: PieceInspector, size: int) -> bytes:
        try:
            return self._body.read(size)
        except BaseException as error:
            inspection.abort(f"the client's bytes cannot be read: {error}")
            raise
