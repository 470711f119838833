"""The data area of a container: the bytes of its file that are the disk, or the files, in it.

Only the places matter where other formats have their signatures: the first and the last bytes of an image.
"""

from .requests import HEAD_BYTES, TAIL_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_MAX_BLOCKS = 1024
"""Blocks of 512 bytes that do not overlap fill :data:`HEAD_BYTES` with 144, and :data:`TAIL_BYTES` with 256. If there
are more, those that are no longer near the end are dropped, then any others: they overlap, and count as no data."""


class Region:
    """The bytes from `start` to `end`. If they are an image of their own, `content` is its examination
    (`InnerExamination`), in which they are at `start` - `base`."""

    __slots__ = ("base", "content", "end", "start")

    def __init__(self, start: int, end: int, base: int, content: "Any") -> None:
        self.start, self.end, self.base, self.content = start, end, base, content


class DataArea:
    """The regions of a container, as its tables or headers state them. `total` is the length of the file, None if
    unknown."""

    __slots__ = ("_blocks", "_end", "_regions", "_total")

    def __init__(self, total: "int | None") -> None:
        self._total = total
        self._regions: dict[int, Region] = {}
        self._blocks: dict[int, int] = {}
        """Start and length of blocks, of which an image may have millions."""
        self._end = 0

    def add(self, start: int, length: int, content: "Any" = None, *, base: "int | None" = None) -> None:
        """Add `length` bytes at `start`. Regions far from both ends of the file are dropped."""
        if length <= 0:
            return
        region = Region(start, start + length, start if base is None else base, content)
        self._end = max(self._end, region.end)
        self._regions.setdefault(start, region)
        bound = self._end - TAIL_BYTES
        self._regions = {at: kept for at, kept in self._regions.items() if at < HEAD_BYTES or kept.end > bound}

    def add_blocks(self, starts: "Iterable[int]", length: int) -> None:
        """Add `length` bytes at each of `starts`."""
        starts = list(starts)
        if not starts:
            return
        end = max(starts) + length
        if self._total is not None and end <= self._total - TAIL_BYTES and min(starts) >= HEAD_BYTES:
            return
        self._end = max(self._end, end)
        bound = self._end - TAIL_BYTES - length
        near = {start: length for start in starts if start < HEAD_BYTES or start > bound}
        if len(self._blocks) + len(near) > _MAX_BLOCKS:
            self._blocks = {at: size for at, size in self._blocks.items() if at < HEAD_BYTES or at > bound}
            if len(self._blocks) + len(near) > _MAX_BLOCKS:
                return
        self._blocks |= near

    def region_at(self, offset: int) -> "Region | None":
        """The region with the byte at `offset`; None if it is in no region, or neither at the start nor at the end."""
        for region in self._regions.values():
            if region.start <= offset < region.end:
                return region
        for start, length in self._blocks.items():
            if start <= offset < start + length:
                return Region(start, start + length, start, None)
        return None
