"""What was seen before, in eight bytes each: names of a folder, folders of a walk. There may be millions."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Hashable, Sequence

MAX_RECENT = 1 << 15
MAX_ARRAYS = 8


class Seen:
    """A set of the hashes of things, which Python keys with a secret for texts and bytes. Two that have the same hash
    are taken for the same, so that an error is a file that is told as unread, and never one that is not told."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._older: list[array[int]] = []

    def add(self, thing: Hashable) -> bool:
        """Add a thing; False if it was there."""
        value = hash(thing)
        if value in self._recent or (self._older and self._is_older(value)):
            return False
        self._recent.add(value)
        if len(self._recent) >= MAX_RECENT:
            self._put_away()
        return True

    def add_all(self, things: Sequence[Hashable]) -> bool:
        """Add several things at once; False, and nothing is added, if one was there or is among them twice."""
        values = set(map(hash, things))
        if len(values) < len(things) or not self._recent.isdisjoint(values):
            return False
        if self._older and any(map(self._is_older, values)):
            return False
        self._recent |= values
        if len(self._recent) >= MAX_RECENT:
            self._put_away()
        return True

    def _is_older(self, value: int) -> bool:
        return any(_contains(values, value) for values in self._older)

    def _put_away(self) -> None:
        self._older.append(array("q", sorted(self._recent)))
        self._recent = set()
        if len(self._older) > MAX_ARRAYS:
            self._older = [_merged(self._older)]


def _contains(values: array[int], value: int) -> bool:
    index = bisect_left(values, value)
    return index < len(values) and values[index] == value


def _merged(arrays: list[array[int]]) -> array[int]:
    """All values, sorted, without a list of them."""
    from heapq import merge  # 1 ms, for folders of more than 262,144 names

    return array("q", merge(*arrays))
