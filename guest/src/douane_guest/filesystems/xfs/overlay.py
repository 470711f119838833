"""A source with changes on top of it, which are kept in memory."""

from __future__ import annotations

from douane_guest.errors import Unsupported
from douane_guest.source import Source, check_range

_SECTOR = 512
_SECTOR_LIMIT = 40960
"""Changed sectors: 20 MiB of them take 27 MiB of memory."""


class Overlay:
    """Reads as if the changes had been written."""

    def __init__(self, source: Source) -> None:
        self.size = source.size
        self._source = source
        self._sectors: dict[int, bytes] = {}
        self._doubtful: set[int] = set()

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`~douane_guest.source.Source`."""
        check_range(self, offset, count)
        first, last = offset // _SECTOR, (offset + count - 1) // _SECTOR
        numbers = range(first, last + 1)
        if self._doubtful and not self._doubtful.isdisjoint(numbers):
            raise Unsupported("the log changes a block in a way that depends on the mount", "guest-unclean")
        changed = [number for number in numbers if number in self._sectors]
        if len(changed) == len(numbers):
            start = offset - first * _SECTOR
            return b"".join([self._sectors[number] for number in numbers])[start : start + count]
        data = self._source.pread(offset, count)
        if not changed:
            return data
        patched = bytearray(data)
        for number in changed:
            start = number * _SECTOR - offset
            sector = self._sectors[number]
            if start < 0:
                sector, start = sector[-start:], 0
            sector = sector[: count - start]
            patched[start : start + len(sector)] = sector
        return bytes(patched)

    def write(self, offset: int, data: bytes) -> None:
        """Change bytes. Raises Broken beyond the end, and Unsupported for more changes than are kept."""
        check_range(self, offset, len(data))
        start = offset - offset % _SECTOR
        end = offset + len(data)
        end += -end % _SECTOR
        end = min(end, self.size)
        if start != offset or end != offset + len(data):
            edges = bytearray(self.pread(start, end - start))
            edges[offset - start : offset - start + len(data)] = data
            data = bytes(edges)
        for at in range(0, len(data), _SECTOR):
            self._sectors[(start + at) // _SECTOR] = data[at : at + _SECTOR]
        if len(self._sectors) > _SECTOR_LIMIT:
            raise Unsupported("it changes more than what is kept in memory", "guest-unclean")

    def doubt(self, offset: int, count: int) -> None:
        """Bytes that are not known: reading them is refused."""
        check_range(self, offset, count)
        self._doubtful.update(range(offset // _SECTOR, (offset + count + _SECTOR - 1) // _SECTOR))
        if len(self._doubtful) > _SECTOR_LIMIT:
            raise Unsupported("it changes more than what is kept in memory", "guest-unclean")
