"""An image that can be sought in, with the methods of one that arrives."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


class FileBytes:
    """The bytes of `file` from its beginning; skipping costs nothing."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        self.offset = 0
        """Bytes taken or skipped so far."""

    def take(self, most: int) -> memoryview:
        """The next bytes: at least one and at most `most`; none at the end."""
        return memoryview(self.read(most))

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer only at the end."""
        self._file.seek(self.offset)
        data = self._file.read(count)
        self.offset += len(data)
        return data

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, fewer only at the end; they come again."""
        data = self.read(count)
        self.offset -= len(data)
        return data

    def skip(self, count: int) -> bool:
        """Pass over `count` bytes; False if there were fewer."""
        end = self.offset + count
        self.offset = min(end, self._size)
        return end <= self._size
