"""The table in sector 0, and the chain of logical partitions (Linux: block/partitions/msdos.c)."""

from __future__ import annotations

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.headers import mbr as header_fields
from douane_guest.headers.mbr import EXTENDED, MbrPartition
from douane_guest.source import Source

from .base import Faults, Partition

MAX_LOGICAL = 128
"""The number of logical partitions that are followed. Linux names up to 63 on a SCSI disk; libparted stops at 64."""


def read_mbr(source: Source, budget: Budget, sector: int, faults: Faults, *, is_iso: bool) -> list[Partition]:
    """The partitions, first the primary ones, then the logical ones from 5 on."""
    found: list[Partition] = []
    extended: list[MbrPartition] = []
    for number, entry in enumerate(header_fields.read_entries(source.pread(0, header_fields.SECTOR)), 1):
        if not entry.count or entry.kind == header_fields.PROTECTIVE:
            continue
        if entry.kind in EXTENDED and entry.start:
            extended.append(entry)
        elif entry.start:
            _add(source, sector, faults, found, f"p{number}", entry.kind, entry.start, entry.count)
        elif not is_iso:  # the first entry of an ISO image may be the whole image
            faults.add(f"the partition p{number} begins at sector 0, with the table itself")
    if len(extended) > 1:
        faults.add("the disk has two extended partitions; programs differ in which they read")
    primary = list(found)
    for entry in extended:
        whole = Partition("extended", entry.start * sector, entry.count * sector, "")
        primary.append(whole)
        _read_logical(source, budget, sector, faults, found, entry)
    faults.check_overlaps(primary, may_nest=is_iso)
    faults.check_overlaps(found[len(primary) - len(extended) :])
    return found


def _add(
    source: Source, sector: int, faults: Faults, found: list[Partition], name: str, kind: int, start: int, count: int
) -> None:
    partition = Partition(name, start * sector, count * sector, f"{kind:#04x}")
    if partition.start + partition.size > source.size:
        faults.add(f"the partition {name} ends at byte {partition.start + partition.size}, beyond the end of the disk")
    else:
        found.append(partition)


def _read_logical(
    source: Source, budget: Budget, sector: int, faults: Faults, found: list[Partition], extended: MbrPartition
) -> None:
    """Follow the chain of extended boot records. The places of links count from the start of the extended partition,
    those of partitions from their record."""
    at, visited = extended.start, set[int]()
    number = 5 + sum(partition.name not in _PRIMARY for partition in found)
    while True:
        budget.step()
        visited.add(at)
        try:
            record = source.pread(at * sector, header_fields.SECTOR)
        except Broken:
            faults.add(f"the extended boot record at sector {at} lies beyond the end of the disk")
            return
        if not header_fields.is_signed(record):
            faults.add(f"there is no extended boot record at sector {at}, to which the table points")
            return
        entries = header_fields.used(header_fields.read_entries(record))
        links = [entry for entry in entries if entry.kind in EXTENDED]
        data = [entry for entry in entries if entry.kind not in EXTENDED]
        if len(links) > 1 or len(data) > 1:
            faults.add(f"the extended boot record at sector {at} has more than a partition and a link")
        for entry in data[:1]:
            start = at + entry.start
            if not entry.start or start + entry.count > extended.end:
                faults.add(f"the partition p{number} is outside of the extended partition, or on its own table")
            _add(source, sector, faults, found, f"p{number}", entry.kind, start, entry.count)
            number += 1
        if not links:
            return
        at = extended.start + links[0].start
        if at in visited or at >= extended.end:
            faults.add(f"an extended boot record points to sector {at}: a loop, or outside of the extended partition")
            return
        if len(visited) >= MAX_LOGICAL:
            faults.add(f"the disk has more than {MAX_LOGICAL} extended boot records")
            return


_PRIMARY = ("p1", "p2", "p3", "p4")
