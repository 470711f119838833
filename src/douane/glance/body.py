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
    accepted. `length` is Content-Length; None where the body is chunked.
    """

    def __init__(self, body: Input, length: int | None, begin: Callable[[], Inspecting]) -> None:
        self._body = body
        self._length = length
        self._begin = begin
        self._inspection: Inspecting | None = None
        self._ahead: bytes | None = None  # of a chunked body, of whose last piece nobody knows that it is
        self._rest = b""
        self.taken = 0
        """Bytes that came from the client."""
        self.whole = False
        """True when all of it came and was accepted."""
        self.begun = False
        """True when it was read from."""

    def read(self, size: int | None = -1) -> bytes:
        """As files do. Raises NotAccepted, which is for nobody but the filter; and what the server's own read does."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(PIECE_BYTES), b""))
        if not size:
            return b""
        if not self._rest:
            self._rest = self._next(size)
        part, self._rest = self._rest[:size], self._rest[size:]
        return part

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

    def end(self, reason: str) -> None:
        """The request is over: if the body was not read to its end, the inspection is. Idempotent."""
        if self._inspection is not None and not self.whole:
            self._inspection.abort(reason)

    def _next(self, size: int) -> bytes:
        """The next piece that Glance may have."""
        if self.whole:
            return b""
        inspection = self._inspection
        if inspection is None:
            self.begun = True
            inspection = self._inspection = self._begin()
        if self._length is not None:
            return self._next_of_known(inspection, size, self._length)
        piece = self._take(inspection, size)
        if self._ahead is None:
            self._ahead, piece = piece, self._take(inspection, size) if piece else b""
        ahead, self._ahead = self._ahead, piece
        if not piece:
            inspection.finish()
            self.whole = True
        return ahead

    def _next_of_known(self, inspection: Inspecting, size: int, length: int) -> bytes:
        piece = self._take(inspection, min(size, length - self.taken)) if self.taken < length else b""
        if self.taken == length:
            inspection.finish()
            self.whole = True
        elif not piece:
            inspection.abort(f"{self.taken} of {length} bytes came, then the client stopped")
        return piece

    def _take(self, inspection: Inspecting, size: int) -> bytes:
        try:
            piece = self._body.read(size)
        except BaseException as error:
            inspection.abort(f"the client's bytes cannot be read: {error}")
            raise
        self.taken += len(piece)
        if piece:
            inspection.write(piece)
        return piece
