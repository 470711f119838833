"""Bytes at any offset: what every reader reads from, and what containers, volumes and windows are.

A reader is given a :class:`Source` and never a file: the caller decides where the bytes come from.
"""

from __future__ import annotations

import os
from typing import Protocol

from .errors import Broken


class Source(Protocol):
    """A disk, a partition, a volume, or the file of an image."""

    size: int
    """In bytes."""

    def pread(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes at `offset`; zeros where nothing was written. Raises Broken beyond the end, and for a
        structure on the way that is damaged."""


class FileSource:
    """An open file, or a device; the descriptor stays the caller's."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size = os.lseek(fd, 0, os.SEEK_END)

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`Source`."""
        check_range(self, offset, count)
        data = os.pread(self.fd, count, offset)
        while len(data) < count:
            more = os.pread(self.fd, count - len(data), offset + len(data))
            if not more:
                raise Broken(f"the file ended at byte {offset + len(data)} while it was read")
            data += more
        return data


class BytesSource:
    """Bytes in memory: a decompressed structure, or a test."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`Source`."""
        check_range(self, offset, count)
        return self.data[offset : offset + count]


class Window:
    """`size` bytes of another source from `start` on: a partition. Raises Broken if they are not in it."""

    def __init__(self, source: Source, start: int, size: int) -> None:
        if start < 0 or size < 0 or start + size > source.size:
            raise Broken(f"{size} bytes at {start} lie outside of the {source.size} bytes around them")
        self._source = source
        self.start = start
        self.size = size

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`Source`."""
        check_range(self, offset, count)
        return self._source.pread(self.start + offset, count)


def check_range(source: Source, offset: int, count: int) -> None:
    """Raises Broken unless the bytes lie in the source."""
    if offset < 0 or count < 0 or offset + count > source.size:
        raise Broken(f"{count} bytes at {offset} lie beyond the end, which is at {source.size}")
