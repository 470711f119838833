"""The data area of a container: the bytes of its file that are the disk, or the files, in it.

Only the places matter where other formats have their signatures: the first and the last bytes of an image.
"""

from .base import HEAD_BYTES
from .requests import TAIL_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .match import InnerExamination

_MAX_LAST = 1024
"""Regions at the end before those that are no longer near the end are dropped: blocks of 512 bytes fill
:data:`TAIL_BYTES` with 256."""


class Region:
    """The bytes from `start` to `end`. `content` examines them if they are an image of their own, in which they are
    at `start` - `base`."""

    __slots__ = ("base", "content", "end", "start")

    def __init__(self, start: int, end: int, base: int, content: "InnerExamination | None") -> None:
        self.start, self.end, self.base, self.content = start, end, base, content


class DataArea:
    """The regions of a container, as its tables or headers state them."""

    __slots__ = ("_end", "_first", "_last")

    def __init__(self) -> None:
        self._first: dict[int, Region] = {}
        self._last: dict[int, Region] = {}
        self._end = 0

    def add(
        self, start: int, length: int, content: "InnerExamination | None" = None, *, base: "int | None" = None
    ) -> None:
        """Add `length` bytes at `start`."""
        if length <= 0:
            return
        region = Region(start, start + length, start if base is None else base, content)
        self._end = max(self._end, region.end)
        if start < HEAD_BYTES:
            self._first.setdefault(start, region)
        if region.end > self._end - TAIL_BYTES:
            self._last.setdefault(start, region)
        if len(self._last) > _MAX_LAST:
            bound = self._end - TAIL_BYTES
            self._last = {at: last for at, last in self._last.items() if last.end > bound}

    def add_blocks(self, starts: "Iterable[int]", length: int) -> None:
        """Add `length` bytes at each of `starts`."""
        starts = list(starts)
        if not starts:
            return
        self._end = max(self._end, max(starts) + length)
        bound = self._end - TAIL_BYTES - length
        for start in starts:
            if start < HEAD_BYTES or start > bound:
                self.add(start, length)

    def region_at(self, offset: int) -> "Region | None":
        """The region with the byte at `offset`; None if it is in no region, or neither at the start nor at the end."""
        for regions in (self._first, self._last):
            for region in regions.values():
                if region.start <= offset < region.end:
                    return region
        return None
