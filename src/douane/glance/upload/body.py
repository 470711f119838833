"""The body of an upload on its way into Glance: each piece is inspected as Glance asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

PIECE_BYTES = 1 << 16


class Input(Protocol):
    """``wsgi.input`` (PEP 3333), of which this is used."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


class Inspecting(Protocol):
    """An inspection under way: in this process or in the agent's."""

    def write(self, data: bytes) -> None:
        """Hand over the next bytes. Raises NotAccepted when the outcome stands, and is another."""

    def finish(self) -> None:
        """That was all. Raises NotAccepted unless it is accepted."""

    def abort(self, reason: str) -> None:
        """The sender is gone."""


class NotAccepted(Exception):
    """The image does not get in. Glance, in the middle of taking it, gives up what it has taken."""


class InspectedBody:
    """Stands in the place of ``wsgi.input``. The inspection is begun with the first read: where Glance wants no bytes,
    because the request is wrong, there is nothing to inspect.

    The last bytes are held back until the verdict is there, so that Glance never has a whole image that is not
    accepted: it may stop at the announced length as well as at the end. `length` is how many bytes were announced, by
    Content-Length or otherwise; None if that is not known. With `is_chunked` the body says itself where it ends.
    """

    def __init__(
        self, body: Input, length: int | None, begin: Callable[[], Inspecting], *, is_chunked: bool = False
    ) -> None:
        self._body = body
        self._length = length
        self._begin = begin
        self._is_chunked = is_chunked
        self._inspection: Inspecting | None = None
        self._ahead: bytes | None = None  # where nothing was announced: nobody knows of the last piece that it is
        self._rest = b""
        self._has_failed = False
        self.taken = 0
        """Bytes that came from the client."""
        self.whole = False
        """True when all of it came and was accepted."""
        self.wrong: str | None = None
        """What is wrong with what the client sent, if it is another length than was announced."""

    def read(self, size: int | None = -1) -> bytes:
        """As files do: fewer than `size` at the end only (webob.request.LimitedLengthFile takes fewer for a client
        that is gone). Raises NotAccepted, which is for nobody but the filter; and what the server's own read does.
        What has raised once never gives a byte again."""
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
        """As files do; no image is read so."""
        line = bytearray()
        while (size is None or size < 0 or len(line) < size) and (byte := self.read(1)):
            line += byte
            if byte == b"\n":
                break
        return bytes(line)

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """As files do; no image is read so."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def settle(self) -> None:
        """Have a body of which no byte is announced inspected: Glance makes an image of it without a read. Raises
        NotAccepted."""
        if self._length == 0:
            self.read(1)

    def end(self, reason: str) -> None:
        """The request is over: if the body was not read to its end, the inspection is. Idempotent."""
        if self._inspection is not None and not self.whole:
            self._inspection.abort(reason)

    def _next(self, size: int) -> bytes:
        """The next piece that Glance may have."""
        if self.whole:
            return b""
        if self._has_failed:
            raise NotAccepted("it was read on after it had failed")
        try:
            inspection = self._inspection
            if inspection is None:
                inspection = self._inspection = self._begin()
            if self._length is not None:
                return self._next_of_announced(inspection, size, self._length)
            return self._next_of_unknown(inspection, size)
        except BaseException:  # whatever it was, what follows would not be what was inspected
            self._has_failed = True
            raise

    def _next_of_announced(self, inspection: Inspecting, size: int, length: int) -> bytes:
        piece = self._take(inspection, min(size, length - self.taken)) if self.taken < length else b""
        if self.taken < length and not piece:
            raise self._other_length(inspection, f"it ended after {self.taken} of {length} announced bytes")
        if self.taken >= length:
            if self.taken > length or (self._is_chunked and self._receive(inspection, 1)):
                raise self._other_length(inspection, f"it has more than the {length} announced bytes")
            inspection.finish()
            self.whole = True
        return piece

    def _next_of_unknown(self, inspection: Inspecting, size: int) -> bytes:
        piece = self._take(inspection, size)
        if self._ahead is None:
            self._ahead, piece = piece, self._take(inspection, size) if piece else b""
        ahead, self._ahead = self._ahead, piece
        if not piece:
            inspection.finish()
            self.whole = True
        return ahead

    def _other_length(self, inspection: Inspecting, what: str) -> NotAccepted:
        self.wrong = what
        inspection.abort(what)
        return NotAccepted(what)

    def _take(self, inspection: Inspecting, size: int) -> bytes:
        piece = self._receive(inspection, size)
        self.taken += len(piece)
        if piece:
            inspection.write(piece)
        return piece

    def _receive(self, inspection: Inspecting, size: int) -> bytes:
        try:
            return self._body.read(size)
        except BaseException as error:
            inspection.abort(f"the client's bytes cannot be read: {error}")
            raise
