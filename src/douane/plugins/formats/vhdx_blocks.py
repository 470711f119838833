"""VHDX: the block allocation table ([MS-VHDX], 2.5).

The table may precede the metadata, which state the size of a block and which entries are of sector bitmaps. So the
entries are checked by the rules that hold for all of them.
"""

from bisect import bisect_right

from douane_guest.headers.vhdx import FULLY_PRESENT, MIB, PARTIALLY_PRESENT

from .tables import numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .data_area import DataArea
    from .tables import TableReader
    from .vhdx_metadata import Metadata

_STATES = bytes(state & 7 for state in range(256))
_MAX_LOW = 4096


class Blocks:
    """Checks the entries, and adds to `data`; `regions` are (start, length, name) of the other structures in the
    file."""

    def __init__(self, data: "DataArea", reader: "TableReader", regions: "list[tuple[int, int, str]]") -> None:
        self._data = data
        self._reader = reader
        self._regions = sorted(region for region in regions if region[1])
        self._starts = [start for start, _, _ in self._regions]
        self._regions_end = max(start + length for start, length, _ in self._regions)
        self._highest = -1
        self._low: set[int] = set()
        self._partly = False

    def use(self, piece: bytes) -> None:
        """Check the next piece: entries of 8 bytes with 3 bits of state and 44 bits of offset in mebibytes."""
        entries = numbers(piece, "<Q")
        states = piece[: len(entries) * 8 : 8].translate(_STATES)
        if 4 in states:
            self._reader.find_once("header", "the block allocation table has an entry in state 4", key="state")
        self._partly = self._partly or PARTIALLY_PRESENT in states
        places = [entry >> 20 for entry, state in zip(entries, states, strict=True) if state >= FULLY_PRESENT]
        if not places:
            return
        different = set(places)
        if len(different) < len(places):
            self._reader.find_once("overlap", "two blocks are in the same place", key="twice")
        self._highest = max(self._highest, max(different) * MIB)
        self._reader.must_reach(self._highest + MIB, "a block")
        if min(different) * MIB >= self._regions_end:
            return
        for place in different:
            start = place * MIB
            if start < self._regions_end:
                self._judge_low(start, MIB)
                if len(self._low) < _MAX_LOW:
                    self._low.add(start)

    def judge(self, metadata: "Metadata") -> None:
        """Check all entries, now that the size of a block is known."""
        if self._highest >= 0:
            self._reader.must_reach(self._highest + metadata.block, "a block")
            self._data.add(self._highest, metadata.block)  # all others are far from both ends of the file
        for start in sorted(self._low):
            self._judge_low(start, metadata.block)
        if self._partly and not metadata.has_parent:
            self._reader.find_once("header", "a block is partly in a parent, but there is no parent", key="partly")

    def _judge_low(self, start: int, length: int) -> None:
        at = bisect_right(self._starts, start) - 1
        for begin, size, what in self._regions[max(at, 0) : at + 2]:
            if start < begin + size and begin < start + length:
                self._reader.find_once("overlap", f"a block at {start} overlaps {what}", start, key="regions")
