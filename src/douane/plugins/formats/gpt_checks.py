"""Header and entries of a GUID partition table, and their checks (UEFI 2.10, 5.3.2 and 5.3.3)."""

from binascii import crc32

from . import boot_sectors
from .boot_sectors import PROTECTIVE
from .raw_content import u32, u64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match

MAX_TABLE_BYTES = 1 << 19
"""The size of 4096 entries. Every tool writes 128, which are 16 KiB."""

KINDS = {
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system",
    "21686148-6449-6e6f-744e-656564454649": "BIOS boot",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux file system",
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "Linux root (x86-64)",
    "b921b045-1df0-41c3-af44-4c6f280d3fae": "Linux root (ARM64)",
    "bc13c2ff-59e6-4262-a352-b275fd6f7172": "Linux extended boot",
    "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "Linux swap",
    "e6d6d379-f507-44c2-a23c-238f2a3df928": "Linux LVM",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "basic data",
    "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved",
    "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery",
}
"""Names of the most common types; other types are shown as their GUID."""


def guid(data: bytes) -> str:
    """The text of the GUID in 16 bytes; its first three parts are little-endian (UEFI 2.10, appendix A)."""
    parts = (data[3::-1], data[5:3:-1], data[7:5:-1], data[8:10], data[10:16])
    return "-".join(part.hex() for part in parts)


class GptHeader:
    """A header: `sector` are its bytes, `at` is its offset, `size` that of a sector in bytes; places are in sectors."""

    def __init__(self, sector: bytes, at: int, size: int) -> None:
        self.sector, self.at, self.size = sector, at, size
        self.length = u32(sector, 12)
        self.own_sector, self.copy_sector = u64(sector, 24), u64(sector, 32)
        self.first, self.last = u64(sector, 40), u64(sector, 48)
        self.guid = guid(sector[56:72])
        self.table = u64(sector, 72)
        self.count, self.entry_size, self.checksum = u32(sector, 80), u32(sector, 84), u32(sector, 88)
        self.table_size = self.count * self.entry_size

    @property
    def intact(self) -> bool:
        """True if the checksum is right."""
        if not 92 <= self.length <= len(self.sector):
            return False
        data = self.sector[: self.length]
        return crc32(data[:16] + bytes(4) + data[20:]) == u32(data, 16)


class GptPartition:
    """An entry in use: `first` and `last` sector; `kind` and `label` as text; `at` is the entry's offset in bytes."""

    __slots__ = ("at", "first", "kind", "label", "last", "name")

    def __init__(self, number: int, entry: bytes, at: int) -> None:
        self.name = f"partition {number}"
        kind = guid(entry[:16])
        self.kind = KINDS.get(kind, kind)
        self.first, self.last = u64(entry, 32), u64(entry, 40)
        self.label = entry[56:128].decode("utf-16-le", "replace").split("\0", 1)[0]
        self.at = at


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
