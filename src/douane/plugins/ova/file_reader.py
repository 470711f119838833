"""A seekable image, with the methods of an image that arrives."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


class FileReader:
    """The bytes of `file` from its beginning; skipping reads nothing. The methods are those of a ByteReader."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        self.offset = 0
        """Bytes taken or skipped so far."""

    def take(self, limit: int) -> memoryview:
        """The next bytes: at least one and at most `limit`; none at the end."""
        return memoryview(self.read(limit))

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer only at the end."""
        self._file.seek(self.offset)
        data = self._file.read(count)
        self.offset += len(data)
        return data

    def put_back(self, data: bytes) -> None:
        """Go back over `data`, the bytes that were read last."""
        self.offset -= len(data)

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, fewer only at the end; they come again."""
        data = self.read(count)
        self.offset -= len(data)
        return data

    def skip(self, count: int) -> bool:
        """Pass over `count` bytes, or back if negative; False if there were fewer."""
        end = self.offset + count
        self.offset = min(end, self._size)
        return end <= self._size
