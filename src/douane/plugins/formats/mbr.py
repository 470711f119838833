"""A disk with a partition table of DOS' kind in its first sector."""

from . import boot_sectors, iso
from .base import HEAD_BYTES
from .boot_sectors import EXTENDED, SECTOR, Partition
from .raw_content import Content, u32, whole
from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

MOST_LOGICAL = 128
"""Logical partitions that are followed; Linux has no names for more than 63 on a SCSI disk, libparted stops at 64."""


class Mbr(Content):
    """``mbr``. One with a protective entry is the GPT's."""

    name = "mbr"
    about = "a disk with a partition table"
    declared_as = ("mbr",)

    def begins(self, head: bytes) -> bool:
        return boot_sectors.is_table(head) and not boot_sectors.has_protective(head) and head[512:520] != b"EFI PART"

    def read(self, match: "Match") -> "Reader":
        head = yield Bytes(0, SECTOR, "the partition table")
        hybrid = iso.is_iso((yield Bytes(0, HEAD_BYTES, "the beginning", short=True)))
        match.note("disk signature", f"{u32(head, 440):#010x}", 440)
        table = boot_sectors.used(boot_sectors.entries(head))
        for one in table:
            match.note(one.name, f"type {one.kind:#04x}, {one.count} sectors from {one.start}", one.at)
        # The first partition of an isohybrid is the ISO and begins at 0, or holds the others: Linux does not mind.
        _contradictions(match, table, nested=hybrid)
        extended = [one for one in table if one.kind in EXTENDED]
        if len(extended) > 1:
            match.find("partition-table", "it has two extended partitions; tools differ in which they read", 446)
        logical: list[Partition] = []
        match.spawn(_ended(match, table, logical))
        if extended:
            yield from _logical(match, extended[0], logical)


def _contradictions(match: "Match", table: list[Partition], *, nested: bool) -> None:
    """What the entries of one table say against each other; not that they overlap with `nested`."""
    for one in table:
        if not one.start and not nested:
            match.find("partition-table", f"{one.name} begins at sector 0, where the table itself is", one.at)
    if not nested:
        both = boot_sectors.overlaps((one.start, one.end, one.name) for one in table)
        if both:
            match.find("partition-table", f"{both[0]} and {both[1]} overlap", 446)
    if sum(one.active == 0x80 for one in table) > 1:
        match.find("partition-table", "more than one of its partitions is marked as the active one", 446)


def _ended(match: "Match", table: list[Partition], logical: list[Partition]) -> "Reader":
    """All partitions are in the image. A reader of its own, as the chain of logical ones may break off."""
    yield from whole(match)
    sectors = -(-match.total // SECTOR)
    for one in [*table, *logical]:
        if one.end > sectors:
            text = f"{one.name} ends at sector {one.end}, and the image has {sectors}"
            match.find("partition-table", text, one.at)
            return


def _logical(match: "Match", extended: Partition, found: list[Partition]) -> "Reader":
    """Follow the chain of extended boot records, whose places count from the beginning of the extended partition.

    As long as it goes forwards: one that goes back is a loop, or out of order as sfdisk may leave it when a logical
    partition was deleted and made again, and is left alone.
    """
    at = extended.start
    seen = []
    while True:
        sector = yield Bytes(at * SECTOR, SECTOR, "an extended boot record", short=True, essential=False)
        if len(sector) < SECTOR or not boot_sectors.signed(sector):
            text = f"there is no extended boot record at sector {at}, where the table says there is one"
            match.find("partition-table", text, at * SECTOR)
            return
        data, link = boot_sectors.entries(sector, at * SECTOR, f"logical {len(found) + 1}, entry ")[:2]
        if data.count and data.kind not in EXTENDED:
            found.append(Partition(f"partition {len(found) + 5}", data.kind, at + data.start, data.count, 0, data.at))
            one = found[-1]
            match.note(one.name, f"type {one.kind:#04x}, {one.count} sectors from {one.start}", one.at)
            if not data.start or one.end > extended.end:
                text = f"{one.name} lies outside the extended partition, or on its own table"
                match.find("partition-table", text, one.at)
        if not link.count or link.kind not in EXTENDED:
            break
        following = extended.start + link.start
        seen.append(at)
        if following in seen or following >= extended.end:
            text = f"the extended boot record at sector {at} leads to {following}: in a circle, or out of its partition"
            match.find("partition-table", text, link.at)
            return
        if len(seen) >= MOST_LOGICAL:
            match.find("partition-table", f"it has more than {MOST_LOGICAL} extended boot records", link.at)
            return
        if following < at:
            match.find("unchecked", f"the extended boot record at sector {at} leads back, to {following}", link.at)
            return
        at = following
    both = boot_sectors.overlaps((one.start, one.end, one.name) for one in found)
    if both:
        match.find("partition-table", f"{both[0]} and {both[1]} overlap", extended.at)
