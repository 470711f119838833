"""A disk with a DOS partition table in its first sector."""

from douane_guest.headers import mbr as boot_sectors
from douane_guest.headers.mbr import EXTENDED, SECTOR, MbrPartition
from douane_guest.headers.numbers import u32

from . import iso
from .raw_content import Content, read_whole_disk
from .requests import HEAD_BYTES, Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

MAX_LOGICAL = 128
"""The number of logical partitions that are followed. Linux names up to 63 on a SCSI disk; libparted stops at 64."""


class Mbr(Content):
    """A table without the entry that protects a GPT."""

    name = "mbr"
    about = "a disk with a partition table"
    declared_as = ("mbr",)

    def begins(self, head: bytes) -> bool:
        return boot_sectors.is_table(head) and not boot_sectors.has_protective(head) and head[512:520] != b"EFI PART"

    def read(self, match: "Match") -> "Reader":
        head = yield Bytes(0, SECTOR, "the partition table")
        hybrid = iso.is_iso((yield Bytes(0, HEAD_BYTES, "the beginning", short=True)))
        match.note("disk signature", f"{u32(head, 440):#010x}", 440)
        table = boot_sectors.used(boot_sectors.read_entries(head))
        for partition in table:
            _note(match, partition)
        # The first partition of an isohybrid is the ISO: it begins at 0, or contains the others. Linux accepts that.
        _check_table(match, table, nested=hybrid)
        extended = [partition for partition in table if partition.kind in EXTENDED]
        if len(extended) > 1:
            match.find("partition-table", "it has two extended partitions; tools differ in which they read", 446)
        logical: list[MbrPartition] = []
        match.spawn(_check_ends(match, table, logical))
        if extended:
            yield from _read_logical(match, extended[0], logical)


def _note(match: "Match", partition: MbrPartition) -> None:
    text = f"type {partition.kind:#04x}, {partition.count} sectors from {partition.start}"
    match.note(partition.name, text, partition.at)


def _check_table(match: "Match", table: list[MbrPartition], *, nested: bool) -> None:
    """Check the entries of one table against each other; partitions may overlap if `nested`."""
    for partition in table:
        if not partition.start and not nested:
            match.find("partition-table", f"{partition.name} begins at sector 0, the table itself", partition.at)
    if not nested:
        pair = boot_sectors.find_overlap((partition.start, partition.end, partition.name) for partition in table)
        if pair:
            match.find("partition-table", f"{pair[0]} and {pair[1]} overlap", 446)
    if sum(partition.active == 0x80 for partition in table) > 1:
        match.find("partition-table", "more than one partition is marked as active", 446)


def _check_ends(match: "Match", table: list[MbrPartition], logical: list[MbrPartition]) -> "Reader":
    """Check that all partitions are in the image; a reader of its own, as the chain of logical ones may break off."""
    yield from read_whole_disk(match)
    sectors = -(-match.total // SECTOR)
    for partition in [*table, *logical]:
        if partition.end > sectors:
            text = f"{partition.name} ends at sector {partition.end}, but the image has {sectors}"
            match.find("partition-table", text, partition.at)
            return


def _read_logical(match: "Match", extended: MbrPartition, logical: list[MbrPartition]) -> "Reader":
    """Follow the chain of extended boot records, whose places count from the start of the extended partition.

    The chain is followed forwards only. A step back is a loop, or the order in which sfdisk may leave the chain when a
    logical partition was deleted and made again.
    """
    at = extended.start
    visited = []
    while True:
        sector = yield Bytes(at * SECTOR, SECTOR, "an extended boot record", short=True, essential=False)
        if len(sector) < SECTOR or not boot_sectors.is_signed(sector):
            text = f"there is no extended boot record at sector {at}, to which the table points"
            match.find("partition-table", text, at * SECTOR)
            return
        data, link = boot_sectors.read_entries(sector, at * SECTOR, f"logical {len(logical) + 1}, entry ")[:2]
        if data.count and data.kind not in EXTENDED:
            name = f"partition {len(logical) + 5}"
            partition = MbrPartition(name, data.kind, at + data.start, data.count, 0, data.at)
            logical.append(partition)
            _note(match, partition)
            if not data.start or partition.end > extended.end:
                text = f"{name} is outside the extended partition, or overlaps its own table"
                match.find("partition-table", text, data.at)
        if not link.count or link.kind not in EXTENDED:
            break
        following = extended.start + link.start
        visited.append(at)
        if following in visited or following >= extended.end:
            text = f"the extended boot record at sector {at} points to {following}: a loop, or outside the partition"
            match.find("partition-table", text, link.at)
            return
        if len(visited) >= MAX_LOGICAL:
            match.find("partition-table", f"it has more than {MAX_LOGICAL} extended boot records", link.at)
            return
        if following < at:
            match.find("unchecked", f"the extended boot record at sector {at} points back to {following}", link.at)
            return
        at = following
    pair = boot_sectors.find_overlap((partition.start, partition.end, partition.name) for partition in logical)
    if pair:
        match.find("partition-table", f"{pair[0]} and {pair[1]} overlap", extended.at)
