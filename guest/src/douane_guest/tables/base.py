"""What a partition table says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from douane_guest.filesystems.base import Unread

WHERE = "partition table"
MAX_REPORTS = 16
"""Of one table: a hostile one may have thousands of faults."""


class Partition(NamedTuple):
    """A range of the disk. `start` and `size` are in bytes."""

    name: str
    """``p1``, by the number that Linux gives it; ``mbr1`` for an entry of the MBR beside a GPT."""

    start: int
    size: int
    kind: str
    """The type: a GUID, or ``0x83``."""

    label: str = ""
    uuid: str = ""


class PartitionTable(NamedTuple):
    """The partitions of a disk, in the order of the table, and what is wrong with it."""

    kind: str
    """``gpt``, ``mbr``, or empty: the disk has no table."""

    sector_size: int
    partitions: tuple[Partition, ...]
    unread: tuple[Unread, ...]
    """Contradictions: programs and firmware would differ in what they find. Partitions that cannot be on the disk are
    here alone; those that overlap are also in `partitions`."""


class Faults:
    """Collects what is wrong."""

    def __init__(self) -> None:
        self.unread: list[Unread] = []

    def add(self, why: str) -> None:
        """Add a sentence."""
        if len(self.unread) < MAX_REPORTS:
            self.unread.append(Unread(WHERE, "guest-broken", why))

    def check_overlaps(self, partitions: Iterable[Partition], *, may_nest: bool = False) -> None:
        """Add a fault for each partition that begins in another one. `may_nest`: it may lie in it as a whole."""
        furthest: Partition | None = None
        for partition in sorted(partitions, key=lambda one: (one.start, -one.size)):
            end = partition.start + partition.size
            limit = furthest.start + furthest.size if furthest else 0
            if furthest and partition.start < limit and not (may_nest and end <= limit):
                self.add(f"the partitions {furthest.name} and {partition.name} overlap")
            if end > limit:
                furthest = partition
