"""What was seen before, in eight bytes each: names of a folder, folders of a walk. There may be millions."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Hashable

MAX_RECENT = 1 << 15
MAX_ARRAYS = 8
_MASK = (1 << 64) - 1


class Seen:
    """A set of the hashes of things, which Python keys with a secret for texts and bytes. Two that have the same hash
    are taken for the same, so that an error is a file that is told as unread, and never one that is not told."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._older: list[array[int]] = []

    def add(self, thing: Hashable) -> bool:
        """Add a thing; False if it was there."""
        value = hash(thing) & _MASK
        if value in self._recent or (self._older and any(_contains(values, value) for values in self._older)):
            return False
        self._recent.add(value)
        if len(self._recent) >= MAX_RECENT:
            self._older.append(array("Q", sorted(self._recent)))
            self._recent = set()
            if len(self._older) > MAX_ARRAYS:
                self._older = [_merged(self._older)]
        return True


def _contains(values: array[int], value: int) -> bool:
    index = bisect_left(values, value)
    return index < len(values) and values[index] == value


def _merged(arrays: list[array[int]]) -> array[int]:
    """All values, sorted, without a list of them."""
    from heapq import merge  # 1 ms, for folders of more than 262,144 names

    return array("Q", merge(*arrays))
