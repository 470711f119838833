"""The bytes of an image that readers can have: the first, the last, and those of the chunk that arrives."""

from .requests import START_BYTES, TAIL_BYTES


class BytesAtHand:
    """The first :data:`START_BYTES`, the last :data:`TAIL_BYTES` or more, and the current chunk."""

    def __init__(self) -> None:
        self.position = 0
        """Bytes fed and skipped so far."""
        self._start = bytearray()
        self._tail = bytearray()
        self._chunk = memoryview(b"")
        self._chunk_at = 0
        self._ended = False

    def feed(self, chunk: memoryview) -> None:
        """Take the next bytes, and hold them until :meth:`release`."""
        length = len(chunk)
        room = START_BYTES - len(self._start)
        if room > 0 and len(self._start) == self.position:
            self._start += chunk[:room]
        self._chunk, self._chunk_at = chunk, self.position
        self.position += length
        if length >= TAIL_BYTES:
            self._tail[:] = chunk[length - TAIL_BYTES :]
            return
        self._tail += chunk
        if len(self._tail) > 2 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]

    def release(self) -> None:
        """Let go of the chunk."""
        self._chunk = memoryview(b"")

    def skip(self, length: int) -> None:
        """Pass over `length` bytes that were not fed."""
        self._tail.clear()
        self.position += length

    def end(self) -> None:
        """End the image: from now on the last bytes are at hand."""
        self._ended = True

    def clear(self) -> None:
        """Drop all bytes."""
        self._start, self._tail = bytearray(), bytearray()

    def first(self, length: int) -> bytes:
        """The first `length` bytes, fewer if fewer have arrived."""
        return bytes(self._start[:length])

    def last(self, length: int) -> bytes:
        """The last `length` bytes, fewer if the image is shorter."""
        return bytes(self._tail[-length:]) if length else b""

    def at(self, offset: int, read_to: int) -> "memoryview | None":
        """The bytes at hand from `offset` on; empty if they have not arrived, None if they have passed.

        Bytes before `read_to` have passed, though the chunk may still hold them.
        """
        if offset >= self.position:
            return memoryview(b"")
        if offset < len(self._start):
            return memoryview(self._start)[offset:]
        if self._ended:
            tail = memoryview(self._tail)[-TAIL_BYTES:]
            length = self.position - offset
            return tail[len(tail) - length :] if length <= len(tail) else None
        if offset >= read_to and offset >= self._chunk_at:
            return self._chunk[offset - self._chunk_at :]
        return None
