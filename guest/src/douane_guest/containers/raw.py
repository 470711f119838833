"""Raw: the file is the disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.source import FileSource, Source

from .base import Extent


class RawDisk:
    """The file as it is. Its holes are known if the source is a file."""

    format = "raw"
    sector_size = 512

    def __init__(self, source: Source, budget: Budget) -> None:
        self.size = source.size
        self._source, self._budget = source, budget
        self.pread = source.pread

    def extents(self) -> Iterator[Extent]:
        """See :class:`~douane_guest.containers.base.Disk`."""
        if not isinstance(self._source, FileSource):
            if self.size:
                yield Extent(0, self.size)
            return
        end = 0
        while end < self.size:
            self._budget.step()
            start = self._seek(end, os.SEEK_DATA)
            end = self._seek(start, os.SEEK_HOLE)
            if start < end:
                yield Extent(start, end - start)

    def _seek(self, offset: int, whence: int) -> int:
        """lseek(2); a file system or device without holes says that all is data."""
        if offset >= self.size:
            return self.size
        assert isinstance(self._source, FileSource)
        try:
            return min(os.lseek(self._source.fd, offset, whence), self.size)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return self.size
            if error.errno == errno.EINVAL:
                return offset if whence == os.SEEK_DATA else self.size
            raise Broken(f"the holes of the file cannot be read: {error.strerror}") from None


def open(source: Source, budget: Budget) -> RawDisk:
    """Every file is a raw disk, unless it is another container."""
    return RawDisk(source, budget)
