"""The file of a VHDX with the changes of its log on top: places in the log, and no bytes, are kept in memory."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from douane_guest.errors import Broken, Unsupported
from douane_guest.source import Source, check_range

SECTOR = 4096
_MOST_ZEROED = 1024
"""Ranges that are changed to zeros."""


class SectorAt(NamedTuple):
    """A sector of the log, in which 8 bytes at the begin and 4 at the end are replaced."""

    place: int
    beginning: bytes
    ending: bytes


class VhdxOverlay:
    """Reads as if the log had been replayed. `size` may be more than the file has: the rest is zeros."""

    def __init__(self, source: Source, size: int) -> None:
        self.size = size
        self._source = source
        self._sectors: dict[int, SectorAt] = {}
        self._zeros: list[tuple[int, int]] = []
        """Begins and ends, ascending, of ranges that neither touch nor overlap."""

        self._zeroed = 0

    def write(self, offset: int, sector: SectorAt) -> None:
        """Change a sector."""
        self._check(offset, SECTOR)
        self._sectors[offset // SECTOR] = sector

    def zero(self, offset: int, count: int) -> None:
        """Change a range to zeros."""
        self._check(offset, count)
        self._zeroed += 1
        if self._zeroed > _MOST_ZEROED:
            raise Unsupported(f"the log of the VHDX has more than {_MOST_ZEROED} ranges of zeros", "guest-unclean")
        first, end = offset, offset + count
        if count // SECTOR < len(self._sectors):
            for number in range(first // SECTOR, end // SECTOR):
                self._sectors.pop(number, None)
        else:
            self._sectors = {
                number: sector for number, sector in self._sectors.items() if not first <= number * SECTOR < end
            }
        touching = [span for span in self._zeros if span[0] <= end and span[1] >= first]
        kept = [span for span in self._zeros if not (span[0] <= end and span[1] >= first)]
        first = min([first, *(span[0] for span in touching)])
        end = max([end, *(span[1] for span in touching)])
        self._zeros = sorted([*kept, (first, end)])

    def changed(self) -> list[tuple[int, int]]:
        """Offsets and lengths of all that was changed."""
        sectors = [(number * SECTOR, SECTOR) for number in self._sectors]
        return sectors + [(first, end - first) for first, end in self._zeros]

    def _check(self, offset: int, count: int) -> None:
        if offset + count > self.size:
            raise Broken(f"the log of the VHDX changes {count} bytes at {offset}, beyond the end of the file")

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`~douane_guest.source.Source`."""
        check_range(self, offset, count)
        within = max(0, min(count, self._source.size - offset))
        data = self._source.pread(offset, within) + bytes(count - within)
        numbers = [
            number for number in range(offset // SECTOR, -(-(offset + count) // SECTOR)) if number in self._sectors
        ]
        spans = self._zeros_in(offset, offset + count)
        if not numbers and not spans:
            return data
        changed = bytearray(data)
        for first, end in spans:
            changed[first - offset : end - offset] = bytes(end - first)
        for number in numbers:
            start = number * SECTOR
            first, end = max(start, offset), min(start + SECTOR, offset + count)
            changed[first - offset : end - offset] = self._bytes_of(number)[first - start : end - start]
        return bytes(changed)

    def _zeros_in(self, start: int, stop: int) -> list[tuple[int, int]]:
        spans = []
        index = max(0, bisect_right(self._zeros, (start, stop)) - 1)
        while index < len(self._zeros) and self._zeros[index][0] < stop:
            first, end = max(self._zeros[index][0], start), min(self._zeros[index][1], stop)
            if first < end:
                spans.append((first, end))
            index += 1
        return spans

    def _bytes_of(self, number: int) -> bytes:
        sector = self._sectors[number]
        return sector.beginning + self._source.pread(sector.place + 8, SECTOR - 12) + sector.ending
