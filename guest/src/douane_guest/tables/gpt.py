"""GUID partition tables (UEFI 2.10, 5.3), with sectors of 512 and 4096 bytes."""

from __future__ import annotations

from binascii import crc32
from typing import NamedTuple

from douane_guest.errors import Broken
from douane_guest.headers.gpt import MAX_TABLE_BYTES, SECTORS, SIGNATURE, GptHeader, GptPartition
from douane_guest.source import Source

from .base import Faults, Partition


class Gpt(NamedTuple):
    """A header that programs use, and its entries."""

    header: GptHeader
    entries: bytes


def read_gpt(source: Source, sector_size: int, faults: Faults, *, expected: bool) -> tuple[int, list[Partition]] | None:
    """The size of a sector, and the partitions; None if there is no table. `expected`: the MBR says that there is one.

    The first header is used if it is right, else the copy at the end, as by Linux (block/partitions/efi.c:
    find_valid_gpt) and firmware (UEFI 2.10, 5.3.2). A header that is damaged, or differs from its copy, is a fault.
    """
    first = {size: gpt for size in SECTORS if (gpt := _read(source, size, size))}
    claimed = expected or any(_signature(source, size) for size in SECTORS)
    if len(first) > 1:
        faults.add("the disk has a GPT for sectors of 512 bytes, and another one for sectors of 4096")
    last = {size: gpt for size in SECTORS if (gpt := _read(source, (source.size // size - 1) * size, size))}
    for gpts in (first, last):
        if gpts:
            size = sector_size if sector_size in gpts else min(gpts)
            break
    else:
        if claimed:
            faults.add("the disk has a GPT, but neither its header nor the copy at its end is intact")
        return None
    if size not in first:
        if not claimed:
            return None  # a forgotten copy at the end of a disk that has no table: no program looks there
        faults.add("the first header of the GPT is missing or damaged; its copy at the end was read")
        return size, _partitions(source, last[size], faults)
    _compare(source, first[size], faults)
    return size, _partitions(source, first[size], faults)


def _signature(source: Source, at: int) -> bool:
    return source.size >= at + len(SIGNATURE) and source.pread(at, len(SIGNATURE)) == SIGNATURE


def _read(source: Source, at: int, size: int) -> Gpt | None:
    """The table whose header is at byte `at`: the conditions of Linux (is_gpt_valid)."""
    if at < size or at + size > source.size or not _signature(source, at):
        return None
    header = GptHeader(source.pread(at, size), at, size)
    if not header.intact or header.own_sector * size != at or header.first > header.last + 1:
        return None
    if header.entry_size < 128 or header.entry_size & header.entry_size - 1 or header.table_size > MAX_TABLE_BYTES:
        return None
    try:
        entries = source.pread(header.table * size, header.table_size)
    except Broken:
        return None
    return Gpt(header, entries) if crc32(entries) == header.checksum else None


def _compare(source: Source, gpt: Gpt, faults: Faults) -> None:
    """The copy must be where the first header says, and have the same entries."""
    header = gpt.header
    copy = _read(source, header.copy_sector * header.size, header.size)
    if copy is None:
        faults.add(f"the copy of the GPT, at sector {header.copy_sector}, is missing or damaged")
    elif copy.entries != gpt.entries or copy.header.guid != header.guid or copy.header.first != header.first:
        faults.add("the GPT differs from its copy: programs that read the copy see other partitions")


def _partitions(source: Source, gpt: Gpt, faults: Faults) -> list[Partition]:
    found: list[Partition] = []
    header, entries = gpt
    for index in range(header.count):
        entry = entries[index * header.entry_size : (index + 1) * header.entry_size]
        if not any(entry[:16]):
            continue
        fields = GptPartition(index + 1, entry, header.table * header.size + index * header.entry_size)
        name, start = f"p{index + 1}", fields.first * header.size
        size = (fields.last + 1 - fields.first) * header.size
        if size <= 0 or start + size > source.size:
            faults.add(f"the partition {name}, sectors {fields.first} to {fields.last}, is not on the disk")
            continue
        if fields.first < header.first or fields.last > header.last:
            faults.add(f"the partition {name} is outside of the sectors that the GPT has for partitions")
        found.append(Partition(name, start, size, fields.type_guid, fields.label, fields.guid))
    faults.check_overlaps(found)
    return found
