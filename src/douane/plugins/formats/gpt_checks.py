"""The header and the entries of a GUID partition table, and what they may not say (UEFI 2.10, 5.3.2 and 5.3.3)."""

from binascii import crc32

from . import boot_sectors
from .boot_sectors import PROTECTIVE
from .raw_content import u32, u64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match

ENTRIES = 1 << 19
"""Bytes of entries that are read: 4096 of them. Every tool makes 128, which are 16 KiB."""

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
"""Names of the types that images have most often; others are shown by their GUID."""


def guid(data: bytes) -> str:
    """The GUID in 16 bytes, as it is written: its first three parts are little-endian (UEFI 2.10, appendix A)."""
    parts = (data[3::-1], data[5:3:-1], data[7:5:-1], data[8:10], data[10:16])
    return "-".join(part.hex() for part in parts)


class Header:
    """A header: `sector` its bytes, `at` its offset in the image, `size` of a sector; all places in sectors."""

    def __init__(self, sector: bytes, at: int, size: int) -> None:
        self.sector, self.at, self.size = sector, at, size
        self.length = u32(sector, 12)
        self.mine, self.other = u64(sector, 24), u64(sector, 32)
        self.first, self.last = u64(sector, 40), u64(sector, 48)
        self.guid = guid(sector[56:72])
        self.table = u64(sector, 72)
        self.count, self.entry_size, self.checksum = u32(sector, 80), u32(sector, 84), u32(sector, 88)
        self.table_size = self.count * self.entry_size

    @property
    def intact(self) -> bool:
        """Its checksum is right."""
        if not 92 <= self.length <= len(self.sector):
            return False
        told = self.sector[: self.length]
        return crc32(told[:16] + bytes(4) + told[20:]) == u32(told, 16)


class Partition:
    """An entry in use: its `first` and `last` sector, `kind` and `label` for people, `at` its offset in bytes."""

    __slots__ = ("at", "first", "kind", "label", "last", "name")

    def __init__(self, number: int, entry: bytes, at: int) -> None:
        self.name = f"partition {number}"
        kind = guid(entry[:16])
        self.kind = KINDS.get(kind, kind)
        self.first, self.last = u64(entry, 32), u64(entry, 40)
        self.label = entry[56:128].decode("utf-16-le", "replace").split("\0", 1)[0]
        self.at = at


def header(match: "Match", one: Header, what: str) -> bool:
    """False if tools will not use it: Linux' is_gpt_valid asks for the same, but for the number of entries."""
    if not one.intact:
        wrong = "its checksum is wrong"
    elif one.mine * one.size != one.at:
        wrong = f"it says that it is at sector {one.mine}, and is at byte {one.at}"
    elif one.entry_size < 128 or one.entry_size & (one.entry_size - 1):
        wrong = f"an entry of {one.entry_size} bytes cannot be"
    elif one.table_size > ENTRIES:
        wrong = f"{one.count} entries of {one.entry_size} bytes are absurd"
    elif one.first > one.last + 1:
        wrong = f"the first sector for partitions is {one.first}, and the last {one.last}"
    else:
        return True
    match.find("partition-table", f"{what} cannot be used: {wrong}", one.at)
    return False


def entries(match: "Match", one: Header, table: bytes, what: str) -> list[Partition]:
    """The partitions in `table`, the bytes of the entries; none if their checksum is wrong."""
    at = one.table * one.size
    if len(table) < one.table_size:
        match.find("partition-table", f"{what} end behind the image", at)
        return []
    if crc32(table) != one.checksum:
        match.find("partition-table", f"the checksum of {what} is wrong", at)
        return []
    step = one.entry_size
    return [
        Partition(number + 1, table[number * step : (number + 1) * step], at + number * step)
        for number in range(one.count)
        if any(table[number * step : number * step + 16])
    ]


def layout(match: "Match", one: Header, partitions: list[Partition], *, nested: bool) -> None:
    """Partitions lie where the header allows, and apart from each other; but not in a hybrid ISO, which is `nested`:
    the ISO is a partition itself there, and has others in it."""
    for part in partitions:
        if part.first > part.last:
            match.find("partition-table", f"{part.name} ends before it begins", part.at)
            return
        if not nested and not one.first <= part.first <= part.last <= one.last:
            text = f"{part.name}, sectors {part.first} to {part.last}, is not in {one.first} to {one.last}"
            match.find("partition-table", f"{text}, where partitions may be", part.at)
            return
    both = boot_sectors.overlaps((part.first, part.last + 1, part.name) for part in partitions)
    if both and not nested:
        match.find("partition-table", f"{both[0]} and {both[1]} overlap", one.table * one.size)
    entry_sectors = -(-one.table_size // one.size)
    if one.mine == 1 and not nested and one.first < one.table + entry_sectors:
        match.find("partition-table", "partitions may begin on the table of partitions", one.at + 40)


def protective(match: "Match", head: bytes, partitions: list[Partition]) -> None:
    """The MBR before the table says that the disk is in use, and nothing else."""
    table = boot_sectors.used(boot_sectors.entries(head)) if boot_sectors.signed(head) else []
    if not boot_sectors.has_protective(head):
        told = "has partitions of its own" if table else "is empty"
        text = f"the MBR does not protect it and {told}: some tools see the one table, some the other"
        match.find("partition-table", text, 446)
        return
    places = {(part.first, part.last + 1) for part in partitions}
    for one in table:
        if one.kind != PROTECTIVE:
            known = "which is one of its own" if (one.start, one.end) in places else "which it does not have"
            text = f"the MBR is a hybrid: it has sectors {one.start} to {one.end - 1} as {one.name}, {known}"
            match.find("partition-table", text, one.at)


def agree(match: "Match", primary: Header, copy: Header) -> None:
    """The header and its copy say the same, each of them with its own place."""
    for name in ("first", "last", "guid", "count", "entry_size", "checksum"):
        if getattr(primary, name) != getattr(copy, name):
            text = f"the header and its copy disagree: {name} is {getattr(primary, name)}, and {getattr(copy, name)}"
            match.find("partition-table", text, copy.at)
            return
    if copy.other != primary.mine:
        match.find("partition-table", f"the copy says that the header is at sector {copy.other}", copy.at + 32)
