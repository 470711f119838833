"""Read the tables of an image in the order in which they stand in the file, each as soon as it is known."""

from heapq import heappop, heappush, heapreplace
from itertools import pairwise
from struct import pack, unpack_from

from .requests import MOST_BYTES, Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Protocol

    from .match import Match
    from .requests import Reader

    class Source(Protocol):
        """What a :class:`Walk` reads, piece by piece: see :class:`Table`."""

        @property
        def at(self) -> int: ...
        @property
        def length(self) -> int: ...
        @property
        def what(self) -> str: ...
        def take(self, piece: bytes) -> bool: ...
        def leave(self) -> bool: ...


KEPT_BYTES = 1 << 20
"""The beginning of an image, which is kept: tables in there can be read in any order."""

MOST_TABLES = 1 << 20
"""So many tables of the second level are remembered, which takes 8 MiB; the rest is told to be unchecked."""


class Table:
    """One table of `length` bytes at `at`, read in pieces of at most a mebibyte, each of which `use` is given."""

    def __init__(self, at: int, length: int, what: str, use: "Callable[[bytes], None]") -> None:
        self.at, self.what = at, what
        self._end = at + length
        self._use = use

    @property
    def length(self) -> int:
        """Of the next piece."""
        return min(self._end - self.at, MOST_BYTES)

    def take(self, piece: bytes) -> bool:
        """Use the next piece; False when it was the last."""
        self._use(piece)
        return self.leave()

    def leave(self) -> bool:
        """Pass over the next piece; False when it was the last."""
        self.at += self.length
        return self.at < self._end


class Tables:
    """Tables of `length` bytes each at the ascending `offsets`."""

    def __init__(self, offsets: "list[int]", length: int, what: str, use: "Callable[[bytes], None]") -> None:
        self.what = what
        self._offsets = memoryview(pack(f"={len(offsets)}Q", *offsets)).cast("Q")  # a quarter of what a list takes
        self._length, self._use = length, use
        self._next = self._done = 0

    @property
    def at(self) -> int:
        """Where the next piece begins."""
        return self._offsets[self._next] + self._done

    @property
    def length(self) -> int:
        """Of the next piece."""
        return min(self._length - self._done, MOST_BYTES)

    def take(self, piece: bytes) -> bool:
        """As :meth:`Table.take`."""
        self._use(piece)
        return self.leave()

    def leave(self) -> bool:
        """As :meth:`Table.leave`."""
        self._done += self.length
        if self._done >= self._length:
            self._next, self._done = self._next + 1, 0
        return self._next < len(self._offsets)


class Walk:
    """Reads what was added with :meth:`add`, the table with the lowest offset next.

    One reader for all tables, so that findings come in an order that depends on the image alone. A table that
    stands before one that had to be read first cannot be seen; that is told once, as ``unchecked``.
    `seen` is how far the reader has asked for bytes before.
    """

    def __init__(self, match: "Match", seen: int) -> None:
        self._match = match
        self._seen = seen
        self._heap: list[tuple[int, int, Source]] = []
        self._count = self._remembered = 0
        self._told: set[str] = set()
        self._reach = 0

    def add(self, source: "Source") -> None:
        """Read this too."""
        self._count += 1
        heappush(self._heap, (source.at, self._count, source))

    def add_tables(self, offsets: "Iterable[int]", length: int, what: str, use: "Callable[[bytes], None]") -> None:
        """Read a table of `length` bytes at each of `offsets`, which are sorted here."""
        ordered = sorted(offsets)
        if self._remembered + len(ordered) > MOST_TABLES:
            self.once("unchecked", f"there are more than {MOST_TABLES} times {what}: not all are looked at")
            return
        if ordered:
            self._remembered += len(ordered)
            self.add(Tables(ordered, length, what, use))

    def once(self, code: str, detail: str, offset: "int | None" = None, *, key: str = "") -> None:
        """A finding, of which one with the same `key` is enough: damaged tables have many."""
        key = key or code
        if key not in self._told:
            self._told.add(key)
            self._match.find(code, detail, offset)

    def reach(self, end: int, what: str) -> None:
        """As :meth:`Match.must_reach`, but told once."""
        if end <= self._reach:
            return
        self._reach = end
        size = self._match.size
        if size is None:
            self._match.must_reach(end, what)
        elif end > size:
            self.once("outside-file", f"{what} reaches to {end}, and the image has {size} bytes", key="reach")

    def run(self) -> "Reader":
        """Read all of them."""
        heap, match = self._heap, self._match
        start, end, lost = 0, 0, ""
        unseen = 0
        while heap:
            at, count, source = heap[0]
            size = match.size
            if size is not None and at >= size:
                return self._tell_unseen(unseen, lost)  # all that is left stands behind the end: that is told already
            length = source.length
            if start <= at < end:
                # not read a second time: thousands of tables over the same bytes would be thousands of times the work
                self.once("overlap", f"{source.what} at {at} overlaps another table", at, key="two tables")
                more = source.leave()
            elif max(at, KEPT_BYTES) < min(at + length, self._seen):
                unseen, lost = unseen + 1, source.what
                more = source.leave()
            else:
                piece = yield Bytes(at, length, source.what, short=True, essential=False)
                self._seen = max(self._seen, at + length)
                more = source.take(piece)
                start, end = at, at + length
            if heap[0][1] != count:  # what the piece led to stands before it
                heap.remove((at, count, source))
                heap.sort()
                if more:
                    heappush(heap, (source.at, count, source))
            elif more:
                heapreplace(heap, (source.at, count, source))
            else:
                heappop(heap)
        return self._tell_unseen(unseen, lost)

    def _tell_unseen(self, unseen: int, what: str) -> None:
        if unseen:
            self._match.find(
                "unchecked",
                f"{unseen} times {what} stands before the table that points to it, and cannot be seen in one pass",
            )


def numbers(piece: bytes, kind: str) -> "tuple[int, ...]":
    """The integers in `piece`: `kind` is byte order and type as in :mod:`struct`; a rest is dropped.

    Not :mod:`array`, which could do the same: it brings in all of :mod:`collections`, and start-up counts.
    """
    return unpack_from(f"{kind[0]}{len(piece) // (8 if kind[1] == 'Q' else 4)}{kind[1]}", piece)


def regions_that_overlap(regions: "list[tuple[int, int, str]]") -> "Iterator[tuple[str, str, int]]":
    """Pairs of neighbours among (start, length, name) that share bytes, and where the second begins."""
    ordered = sorted(one for one in regions if one[1])
    for (start, length, name), (other_start, _, other) in pairwise(ordered):
        if other_start < start + length:
            yield name, other, other_start
