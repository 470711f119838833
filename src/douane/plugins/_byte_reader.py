"""A position in a stream of bytes, for transforms that read structures of their own lengths as an image arrives."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MIN_PIECE_BYTES = 64 << 10
"""Bytes that :meth:`ByteReader.rest` collects before it yields: each piece is a system call of the runtime."""

_SKIP_BYTES = 1 << 20


class ByteReader:
    """A position in a stream of bytes-like pieces, such as an image's chunks or the output of a decoder.

    :meth:`take` returns a view of such a piece. It is valid as long as the piece is: until the next call.
    """

    def __init__(self, pieces: Iterable[bytes | memoryview]) -> None:
        self._pieces = iter(pieces)
        self._ended = False
        self._view = memoryview(b"")
        self._at = 0
        self.offset = 0
        """Bytes taken so far, without those that were put back."""

    def _advance(self) -> bool:
        """Go to the next piece if this piece is used up; False at the end."""
        while self._at == len(self._view):
            self._view, self._at = memoryview(b""), 0  # release the image's chunk before asking for the next
            piece = None if self._ended else next(self._pieces, None)
            if piece is None:
                self._ended = True
                return False
            self._view = memoryview(piece)
        return True

    def take(self, limit: int) -> memoryview:
        """The next bytes: at least one and at most `limit`; none at the end."""
        if not self._advance():
            return memoryview(b"")
        part = self._view[self._at : self._at + limit]
        self._at += len(part)
        self.offset += len(part)
        return part

    def put_back(self, data: bytes) -> None:
        """Return `data`, the bytes that were taken last: they come again."""
        self.offset -= len(data)
        if len(data) <= self._at:
            self._at -= len(data)
        else:
            self.offset += len(data)
            self.put_before(data)

    def put_before(self, data: bytes) -> None:
        """Insert bytes that were never taken: they come next, and do not count in :attr:`offset`."""
        self.offset -= len(data)
        self._view, self._at = memoryview(data + bytes(self._view[self._at :])), 0

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer only at the end."""
        parts = []
        while count and (part := self.take(count)):
            parts.append(bytes(part))
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, fewer only at the end; they come again."""
        data = self.read(count)
        self.put_back(data)
        return data

    def skip(self, count: int) -> bool:
        """Pass over `count` bytes; False if there were fewer."""
        while count and (part := self.take(min(count, _SKIP_BYTES))):
            count -= len(part)
        return not count

    def skip_zeros(self) -> int:
        """Pass over all bytes that are zero; return how many."""
        start = self.offset
        while part := self.take(_SKIP_BYTES):
            rest = bytes(part).lstrip(b"\0")
            if rest:
                self.put_back(rest)
                break
        return self.offset - start

    def rest(self) -> Iterator[bytes]:
        """All bytes that come, in pieces of :data:`MIN_PIECE_BYTES` or more where they come smaller."""
        small = bytearray()
        while part := self.take(1 << 30):
            piece = part.obj
            if not small and len(part) >= MIN_PIECE_BYTES:
                yield piece if isinstance(piece, bytes) and len(piece) == len(part) else bytes(part)
            else:
                small += part
                if len(small) < MIN_PIECE_BYTES:
                    continue
                yield bytes(small)
                small.clear()
        if small:
            yield bytes(small)
