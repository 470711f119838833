"""Which table a disk has, and its partitions."""

from __future__ import annotations

from douane_guest.budget import Budget
from douane_guest.headers import mbr as header_fields
from douane_guest.source import Source

from .base import Faults, Partition, PartitionTable
from .gpt import read_gpt
from .mbr import read_mbr

_ISO = (32769, b"CD001")


def partitions(source: Source, budget: Budget, sector_size: int = 512) -> PartitionTable:
    """The partitions of a disk; `sector_size` is that of its guest, where its container states one.

    A GPT wins if the MBR protects it, as in Linux (block/partitions/efi.c) and firmware. The partitions of the MBR that
    are not in the GPT are added: a BIOS boots from these. A GPT without that protection is read as well, but reported:
    Linux reads the MBR alone.
    """
    head = source.pread(0, min(header_fields.SECTOR * 2, source.size))
    protected = header_fields.has_protective(head)
    faults = Faults()
    gpt = read_gpt(source, sector_size, faults, expected=protected)
    is_iso = source.size >= 32774 and source.pread(*_place(_ISO)) == _ISO[1]
    beside: list[Partition] = []
    hidden = not header_fields.is_table(head) and _has_hidden_table(source, head, sector_size)
    if hidden:
        faults.add("sector 0 is a boot sector, and has a partition table, too: systems differ in which they see")
    if hidden or header_fields.is_table(head):
        size = gpt[0] if gpt else sector_size
        beside = read_mbr(source, budget, size, faults, is_iso=is_iso)
    if gpt is None:
        kind = "mbr" if beside or header_fields.is_table(head) else ""
        return PartitionTable(kind, sector_size, tuple(beside), tuple(faults.unread))
    size, found = gpt
    if not protected:
        faults.add("the MBR does not protect the GPT: some programs read the one, some the other")
    ranges = {(partition.start, partition.size) for partition in found}
    for partition in beside:
        if (partition.start, partition.size) not in ranges:
            found.append(partition._replace(name=f"mbr{partition.name[1:]}"))
    return PartitionTable("gpt", size, tuple(found), tuple(faults.unread))


def _has_hidden_table(source: Source, head: bytes, sector_size: int) -> bool:
    """True for a boot sector whose entries are partitions of this disk: Linux reads them unless it is one of FAT
    (block/partitions/msdos.c), and GRUB always does. ``mkfs.fat --mbr`` writes an entry that begins at sector 0."""
    if not header_fields.has_entries(head):
        return False
    entries = header_fields.used(header_fields.read_entries(head))
    return all(entry.start and entry.end * sector_size <= source.size for entry in entries)


def _place(signature: tuple[int, bytes]) -> tuple[int, int]:
    return signature[0], len(signature[1])
