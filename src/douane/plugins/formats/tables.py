"""Read the tables of an image in the order of their offsets, each as soon as its offset is known."""

from heapq import heappop, heappush, heapreplace
from itertools import pairwise
from struct import pack, unpack_from

from .requests import MAX_BYTES, START_BYTES, Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Protocol

    from .match import Match
    from .requests import Reader

    class Pieces(Protocol):
        """What a :class:`TableReader` reads piece by piece: see :class:`Table`."""

        @property
        def at(self) -> int: ...
        @property
        def length(self) -> int: ...
        @property
        def what(self) -> str: ...
        def take(self, piece: bytes) -> bool: ...
        def skip(self) -> bool: ...


MAX_TABLES = 1 << 20
"""The number of second-level tables whose offsets are remembered, which takes 8 MiB; more are ``unchecked``."""


class Table:
    """One table of `length` bytes at `at`, given to `use` in pieces of at most a mebibyte."""

    def __init__(self, at: int, length: int, what: str, use: "Callable[[bytes], None]") -> None:
        self.at, self.what = at, what
        self._end = at + length
        self._use = use

    @property
    def length(self) -> int:
        """Length of the next piece."""
        return min(self._end - self.at, MAX_BYTES)

    def take(self, piece: bytes) -> bool:
        """Use the next piece; False if it was the last."""
        self._use(piece)
        return self.skip()

    def skip(self) -> bool:
        """Pass over the next piece; False if it was the last."""
        self.at += self.length
        return self.at < self._end


class Tables:
    """Tables of `length` bytes each at the ascending `offsets`."""

    def __init__(self, offsets: "list[int]", length: int, what: str, use: "Callable[[bytes], None]") -> None:
        self.what = what
        self._offsets = memoryview(pack(f"={len(offsets)}Q", *offsets)).cast("Q")  # a quarter of the size of a list
        self._length, self._use = length, use
        self._number = self._position = 0

    @property
    def at(self) -> int:
        """Offset of the next piece."""
        return self._offsets[self._number] + self._position

    @property
    def length(self) -> int:
        """Length of the next piece."""
        return min(self._length - self._position, MAX_BYTES)

    def take(self, piece: bytes) -> bool:
        """As :meth:`Table.take`."""
        self._use(piece)
        return self.skip()

    def skip(self) -> bool:
        """As :meth:`Table.skip`."""
        self._position += self.length
        if self._position >= self._length:
            self._number, self._position = self._number + 1, 0
        return self._number < len(self._offsets)


class TableReader:
    """Reads the tables that were added, the one with the lowest offset next.

    One reader reads all tables, so that the order of findings depends on the image alone. A table that precedes the
    table that points to it cannot be seen in one pass; this is one finding, ``unchecked``. `read_to` is the end of the
    bytes that the format's reader has requested so far.
    """

    def __init__(self, match: "Match", read_to: int) -> None:
        self._match = match
        self._read_to = read_to
        self._heap: list[tuple[int, int, Pieces]] = []
        self._count = self._remembered = 0
        self._found_once: set[str] = set()
        self._reach = 0

    def add(self, table: "Pieces") -> None:
        """Read `table`, too."""
        self._count += 1
        heappush(self._heap, (table.at, self._count, table))

    def add_tables(self, offsets: "Iterable[int]", length: int, what: str, use: "Callable[[bytes], None]") -> None:
        """Read a table of `length` bytes at each of `offsets`, in any order."""
        ordered = sorted(offsets)
        if self._remembered + len(ordered) > MAX_TABLES:
            self.find_once("unchecked", f"there are more than {MAX_TABLES} times {what}; the rest is not read")
            return
        if ordered:
            self._remembered += len(ordered)
            self.add(Tables(ordered, length, what, use))

    def find_once(self, code: str, detail: str, offset: "int | None" = None, *, key: str = "") -> None:
        """Add a finding, unless one with the same `key` was added: damaged tables have many. The default is `code`."""
        key = key or code
        if key not in self._found_once:
            self._found_once.add(key)
            self._match.find(code, detail, offset)

    def must_reach(self, end: int, what: str) -> None:
        """As :meth:`Match.must_reach`, once for all tables."""
        if end <= self._reach:
            return
        self._reach = end
        size = self._match.size
        if size is None:
            self._match.must_reach(end, what)
        elif end > size:
            self.find_once("outside-file", f"{what} ends at {end}, but the image has {size} bytes", key="reach")

    def read(self) -> "Reader":
        """Read all tables."""
        heap, match = self._heap, self._match
        start, end, missed = 0, 0, ""
        count_missed = 0
        while heap:
            at, number, table = heap[0]
            size = match.size
            if size is not None and at >= size:
                return self._report_missed(count_missed, missed)  # all that is left is outside, which is a finding
            length = table.length
            if start <= at < end:
                # not read again: thousands of tables over the same bytes would be thousands of times the work
                self.find_once("overlap", f"{table.what} at {at} overlaps another table", at, key="two tables")
                more = table.skip()
            elif max(at, START_BYTES) < min(at + length, self._read_to):
                count_missed, missed = count_missed + 1, table.what
                more = table.skip()
            else:
                piece = yield Bytes(at, length, table.what, short=True, essential=False)
                self._read_to = max(self._read_to, at + length)
                more = table.take(piece)
                start, end = at, at + length
            if heap[0][1] != number:  # the piece led to a table before this one
                heap.remove((at, number, table))
                heap.sort()
                if more:
                    heappush(heap, (table.at, number, table))
            elif more:
                heapreplace(heap, (table.at, number, table))
            else:
                heappop(heap)
        return self._report_missed(count_missed, missed)

    def _report_missed(self, count: int, what: str) -> None:
        if count:
            text = f"{count} times {what} precedes the table that points to it: one pass cannot see it"
            self._match.find("unchecked", text)


def numbers(piece: bytes, kind: str) -> "tuple[int, ...]":
    """The integers in `piece`, without a rest; `kind` is byte order and type as in :mod:`struct`.

    Not :mod:`array`, whose import brings in all of :mod:`collections`: start-up counts.
    """
    return unpack_from(f"{kind[0]}{len(piece) // (8 if kind[1] == 'Q' else 4)}{kind[1]}", piece)


def overlapping_regions(regions: "list[tuple[int, int, str]]") -> "Iterator[tuple[str, str, int]]":
    """Names of neighbours among (start, length, name) that share bytes, and the start of the second."""
    ordered = sorted(region for region in regions if region[1])
    for (start, length, name), (second_start, _, second_name) in pairwise(ordered):
        if second_start < start + length:
            yield name, second_name, second_start
