"""Checks of the header and the entries of a GUID partition table (UEFI 2.10, 5.3.2 and 5.3.3)."""

from binascii import crc32

from douane_guest.headers import mbr as boot_sectors
from douane_guest.headers.gpt import MAX_TABLE_BYTES, GptHeader, GptPartition
from douane_guest.headers.mbr import PROTECTIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match


def check_header(match: "Match", header: GptHeader, what: str) -> bool:
    """False if tools will not use the header: the conditions of Linux' is_gpt_valid, except the number of entries."""
    if not header.intact:
        fault = "its checksum is wrong"
    elif header.own_sector * header.size != header.at:
        fault = f"it states sector {header.own_sector}, but is at byte {header.at}"
    elif header.entry_size < 128 or header.entry_size & (header.entry_size - 1):
        fault = f"an entry cannot have {header.entry_size} bytes"
    elif header.table_size > MAX_TABLE_BYTES:
        fault = f"{header.count} entries of {header.entry_size} bytes are absurd"
    elif header.first > header.last + 1:
        fault = f"the first sector for partitions is {header.first}, but the last is {header.last}"
    else:
        return True
    match.find("partition-table", f"{what} cannot be used: {fault}", header.at)
    return False


def read_entries(match: "Match", header: GptHeader, table: bytes, what: str) -> list[GptPartition]:
    """The partitions in `table`, the bytes of the entries; none if their checksum is wrong."""
    at = header.table * header.size
    if len(table) < header.table_size:
        match.find("partition-table", f"{what} end outside the image", at)
        return []
    if crc32(table) != header.checksum:
        match.find("partition-table", f"the checksum of {what} is wrong", at)
        return []
    step = header.entry_size
    return [
        GptPartition(number + 1, table[number * step : (number + 1) * step], at + number * step)
        for number in range(header.count)
        if any(table[number * step : number * step + 16])
    ]


def check_layout(match: "Match", header: GptHeader, partitions: list[GptPartition], *, nested: bool) -> None:
    """Check that partitions are where the header allows them, and do not overlap.

    `nested` is true for a hybrid ISO: the ISO is a partition itself, and contains others.
    """
    for part in partitions:
        if part.first > part.last:
            match.find("partition-table", f"{part.name} ends before it begins", part.at)
            return
        if not nested and not header.first <= part.first <= part.last <= header.last:
            text = f"{part.name}, sectors {part.first} to {part.last}, is outside {header.first} to {header.last}"
            match.find("partition-table", f"{text}, the sectors for partitions", part.at)
            return
    pair = boot_sectors.find_overlap((part.first, part.last + 1, part.name) for part in partitions)
    if pair and not nested:
        match.find("partition-table", f"{pair[0]} and {pair[1]} overlap", header.table * header.size)
    entry_sectors = -(-header.table_size // header.size)
    if header.own_sector == 1 and not nested and header.first < header.table + entry_sectors:
        match.find("partition-table", "the sectors for partitions overlap the entries", header.at + 40)


def check_protective(match: "Match", head: bytes, partitions: list[GptPartition]) -> None:
    """Check that the MBR marks the whole disk as in use, and nothing else."""
    table = boot_sectors.used(boot_sectors.read_entries(head)) if boot_sectors.is_signed(head) else []
    if not boot_sectors.has_protective(head):
        content = "has partitions of its own" if table else "is empty"
        text = f"the MBR does not protect it and {content}: some tools read the MBR, others the GPT"
        match.find("partition-table", text, 446)
        return
    places = {(part.first, part.last + 1) for part in partitions}
    for entry in table:
        if entry.kind != PROTECTIVE:
            relation = "as the GPT does" if (entry.start, entry.end) in places else "which the GPT does not have"
            text = f"the MBR is a hybrid: {entry.name} has sectors {entry.start} to {entry.end - 1}, {relation}"
            match.find("partition-table", text, entry.at)


def compare(match: "Match", primary: GptHeader, copy: GptHeader) -> None:
    """Check that the header and its copy agree, except on their places."""
    for name in ("first", "last", "guid", "count", "entry_size", "checksum"):
        if getattr(primary, name) != getattr(copy, name):
            text = f"the header and its copy disagree: {name} is {getattr(primary, name)} and {getattr(copy, name)}"
            match.find("partition-table", text, copy.at)
            return
    if copy.copy_sector != primary.own_sector:
        match.find("partition-table", f"the copy states that the header is at sector {copy.copy_sector}", copy.at + 32)
