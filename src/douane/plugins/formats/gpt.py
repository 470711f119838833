"""A disk with a GUID partition table (UEFI 2.10, chapter 5.3): a header and its entries at the beginning, a copy of
both at the end, and a protective MBR in the first sector that keeps tools off which know only that."""

from . import boot_sectors, gpt_checks, iso
from .base import HEAD_BYTES
from .gpt_checks import Header, Partition
from .raw_content import Content
from .requests import TAIL_BYTES, Bytes, Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

SECTORS = (512, 4096)
"""Sizes of a sector that disks have; the header stands in the second one."""


class Gpt(Content):
    """``gpt``, with its protective MBR in one look."""

    name = "gpt"
    about = "a disk with a partition table"
    declared_as = ("gpt",)

    def begins(self, head: bytes) -> bool:
        return any(_is_header(head, size) for size in SECTORS) or (
            boot_sectors.is_table(head) and boot_sectors.has_protective(head)
        )

    def ends(self, tail: bytes, total: int) -> bool:
        """True if the last sector is a copy's header that says so itself, with the right checksum: the last cluster
        of another format's image may hold a guest's copy, but that names another place."""
        return _copy_at_end(tail, total) is not None

    def read(self, match: "Match") -> "Reader":
        head = yield Bytes(0, HEAD_BYTES, "the beginning", short=True)
        hybrid = iso.is_iso(head)
        primary = _first_header(match, head)
        partitions: list[Partition] = []
        match.spawn(_ended(match, primary, partitions))
        if primary:
            what = "the partition entries"
            table = yield Bytes(primary.table * primary.size, primary.table_size, what, short=True, essential=False)
            partitions += gpt_checks.entries(match, primary, table, "the entries")
            _describe(match, primary, partitions)
            gpt_checks.layout(match, primary, partitions, nested=hybrid)
            if not hybrid:
                gpt_checks.protective(match, head, partitions)
            yield from _copy(match, primary)


def _is_header(head: bytes, size: int) -> bool:
    return head[size : size + 8] == b"EFI PART"


def _first_header(match: "Match", head: bytes) -> "Header | None":
    for size in SECTORS:
        if _is_header(head, size):
            found = Header(head[size : 2 * size], size, size)
            return found if gpt_checks.header(match, found, "the header") else None
    text = "its first header is missing: only tools that look for the copy at the end find its partitions"
    match.find("partition-table", text, SECTORS[0])
    return None


def _copy_at_end(tail: bytes, total: int) -> "Header | None":
    for size in SECTORS:
        sector = tail[-size:]
        if len(sector) == size and total % size == 0 and sector[:8] == b"EFI PART":
            found = Header(sector, total - size, size)
            if found.intact and found.mine == total // size - 1:
                return found
    return None


def _describe(match: "Match", header: Header, partitions: list[Partition]) -> None:
    match.note("sector size", header.size)
    match.note("disk", header.guid, header.at + 56)
    for one in partitions[:64]:
        text = f"{one.kind} {one.label!r}, {one.last - one.first + 1} sectors from {one.first}"
        match.note(one.name, text, one.at)


def _copy(match: "Match", primary: Header) -> "Reader":
    """The copy, where the header says that it is, with its entries right before it; in the middle of a grown image."""
    size, length = primary.size, primary.table_size
    begin = primary.other * size - length
    if begin < 0:
        match.find("partition-table", f"its copy cannot be at sector {primary.other}", primary.at + 32)
        return
    both = yield Bytes(begin, length + size, "the copy of the partition table", short=True, essential=False)
    if len(both) < length + size:
        text = f"its copy ought to be at sector {primary.other}, and the image ends before: it was cut off or shrunk"
        match.find("partition-table", text, primary.at + 32)
        return
    sector = both[length:]
    if sector[:8] != b"EFI PART":
        match.find("partition-table", f"its copy is missing: there is none at sector {primary.other}", begin + length)
        return
    copy = Header(sector, begin + length, size)
    if gpt_checks.header(match, copy, "the copy of the header"):
        gpt_checks.agree(match, primary, copy)
        if copy.table * size == begin:
            gpt_checks.entries(match, copy, both[:length], "the copy of the entries")


def _ended(match: "Match", primary: "Header | None", partitions: list[Partition]) -> "Reader":
    """What can be said when the end is known; a reader of its own, as the other may be stopped."""
    if match.size is not None:
        match.virtual_size = match.size
    tail = yield Tail(TAIL_BYTES)
    match.virtual_size = match.total
    # A fixed VHD has a footer of 512 bytes behind its disk (Microsoft's VHD specification).
    footer = 512 if tail[-512:-504] == b"conectix" else 0
    tail, total = tail[: len(tail) - footer], match.total - footer
    if primary:
        last = -(-total // primary.size) - 1
        if primary.other < last:
            text = f"its copy is at sector {primary.other}, and the disk's last is {last}: the disk has grown"
            match.find("partition-table", text, primary.at + 32)
        _inside(match, primary, partitions, total)
        return
    copy = _copy_at_end(tail, total)
    if copy is None or not gpt_checks.header(match, copy, "the copy of the header"):
        match.find("partition-table", "nothing says where its partitions are: there is no copy at the end either")
        return
    begin = copy.table * copy.size - (total - len(tail))
    if begin < 0 or begin + copy.table_size > len(tail):
        match.find("partition-table", "the entries of the copy are not near the end", copy.at + 72)
        return
    found = gpt_checks.entries(match, copy, tail[begin : begin + copy.table_size], "the copy of the entries")
    _describe(match, copy, found)
    gpt_checks.layout(match, copy, found, nested=False)
    _inside(match, copy, found, total)


def _inside(match: "Match", header: Header, partitions: list[Partition], total: int) -> None:
    for one in partitions:
        end = (one.last + 1) * header.size
        if end > total:
            match.find("partition-table", f"{one.name} ends at byte {end}, and the disk at {total}", one.at)
            return
