"""A disk with a GUID partition table (UEFI 2.10, chapter 5.3): a header and its entries at the start, a copy of both at
the end, and a protective MBR in the first sector, which keeps tools away that do not know GPT."""

from douane_guest.headers import mbr as boot_sectors
from douane_guest.headers.gpt import SECTORS, GptHeader, GptPartition

from . import gpt_checks, iso
from .raw_content import Content
from .requests import HEAD_BYTES, TAIL_BYTES, Bytes, Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader


class Gpt(Content):
    """The table and its protective MBR, in one match."""

    name = "gpt"
    about = "a disk with a partition table"
    declared_as = ("gpt",)

    def begins(self, head: bytes) -> bool:
        return any(_is_header(head, size) for size in SECTORS) or (
            boot_sectors.is_table(head) and boot_sectors.has_protective(head)
        )

    def ends(self, tail: bytes, total: int) -> bool:
        """True if the last sector is the header of a copy that states this place, with the right checksum: the last
        cluster of an image in another format may hold the copy of a guest, but that states another place."""
        return _copy_at_end(tail, total) is not None

    def read(self, match: "Match") -> "Reader":
        head = yield Bytes(0, HEAD_BYTES, "the beginning", short=True)
        hybrid = iso.is_iso(head)
        match.signatures = _signatures(head)
        primary = _first_header(match, head)
        partitions: list[GptPartition] = []
        match.spawn(_read_end(match, primary, partitions))
        if primary:
            what = "the partition entries"
            table = yield Bytes(primary.table * primary.size, primary.table_size, what, short=True, essential=False)
            partitions += gpt_checks.read_entries(match, primary, table, "the entries")
            _note_partitions(match, primary, partitions)
            gpt_checks.check_layout(match, primary, partitions, nested=hybrid)
            if not hybrid:
                gpt_checks.check_protective(match, head, partitions)
            yield from _read_copy(match, primary)


def _is_header(head: bytes, size: int) -> bool:
    return head[size : size + 8] == b"EFI PART"


def _signatures(head: bytes) -> "tuple[int, ...]":
    """Sector 0, without which no tool takes a disk for partitioned (UEFI 2.10, 5.2.3; Linux: is_pmbr_valid), unless
    only a header is there."""
    headers = tuple(size for size in SECTORS if _is_header(head, size))
    return headers if headers and not boot_sectors.has_protective(head) else (0, *headers)


def _first_header(match: "Match", head: bytes) -> "GptHeader | None":
    for size in SECTORS:
        if _is_header(head, size):
            header = GptHeader(head[size : 2 * size], size, size)
            return header if gpt_checks.check_header(match, header, "the header") else None
    text = "its first header is missing: only tools that look for the copy at the end find its partitions"
    match.find("partition-table", text, SECTORS[0])
    return None


def _copy_at_end(tail: bytes, total: int) -> "GptHeader | None":
    for size in SECTORS:
        sector = tail[-size:]
        if len(sector) == size and total % size == 0 and sector[:8] == b"EFI PART":
            header = GptHeader(sector, total - size, size)
            if header.intact and header.own_sector == total // size - 1:
                return header
    return None


def _note_partitions(match: "Match", header: GptHeader, partitions: list[GptPartition]) -> None:
    match.note("sector size", header.size)
    match.note("disk", header.guid, header.at + 56)
    for partition in partitions[:64]:
        sectors = partition.last - partition.first + 1
        text = f"{partition.kind} {partition.label!r}, {sectors} sectors from {partition.first}"
        match.note(partition.name, text, partition.at)


def _read_copy(match: "Match", primary: GptHeader) -> "Reader":
    """Read the copy at the place that the header states, after its entries; in a grown image that is in the middle."""
    size, length = primary.size, primary.table_size
    begin = primary.copy_sector * size - length
    if begin < 0:
        match.find("partition-table", f"its copy cannot be at sector {primary.copy_sector}", primary.at + 32)
        return
    table = yield Bytes(begin, length + size, "the copy of the partition table", short=True, essential=False)
    if len(table) < length + size:
        text = f"its copy should be at sector {primary.copy_sector}, but the image ends before: it was cut or shrunk"
        match.find("partition-table", text, primary.at + 32)
        return
    sector = table[length:]
    if sector[:8] != b"EFI PART":
        match.find("partition-table", f"its copy is missing at sector {primary.copy_sector}", begin + length)
        return
    copy = GptHeader(sector, begin + length, size)
    if gpt_checks.check_header(match, copy, "the copy of the header"):
        gpt_checks.compare(match, primary, copy)
        if copy.table * size == begin:
            gpt_checks.read_entries(match, copy, table[:length], "the copy of the entries")


def _read_end(match: "Match", primary: "GptHeader | None", partitions: list[GptPartition]) -> "Reader":
    """Check the end of the image; a reader of its own, as the other reader may be closed before."""
    if match.size is not None:
        match.virtual_size = match.size
    tail = yield Tail(TAIL_BYTES)
    match.virtual_size = match.total
    # In a fixed VHD a footer of 512 bytes follows the disk (Microsoft's VHD specification).
    footer = 512 if tail[-512:-504] == b"conectix" else 0
    tail, total = tail[: len(tail) - footer], match.total - footer
    if primary:
        last = -(-total // primary.size) - 1
        if primary.copy_sector < last:
            text = f"its copy is at sector {primary.copy_sector}, but the last sector is {last}: the disk has grown"
            match.find("partition-table", text, primary.at + 32)
        _check_ends(match, primary, partitions, total)
        return
    copy = _copy_at_end(tail, total)
    if copy is None or not gpt_checks.check_header(match, copy, "the copy of the header"):
        match.find("partition-table", "its partitions are unknown: there is no copy at the end either")
        return
    begin = copy.table * copy.size - (total - len(tail))
    if begin < 0 or begin + copy.table_size > len(tail):
        match.find("partition-table", "the entries of the copy are not near the end", copy.at + 72)
        return
    partitions = gpt_checks.read_entries(match, copy, tail[begin : begin + copy.table_size], "the copy of the entries")
    _note_partitions(match, copy, partitions)
    gpt_checks.check_layout(match, copy, partitions, nested=False)
    _check_ends(match, copy, partitions, total)


def _check_ends(match: "Match", header: GptHeader, partitions: list[GptPartition], total: int) -> None:
    for partition in partitions:
        end = (partition.last + 1) * header.size
        if end > total:
            match.find("partition-table", f"{partition.name} ends at byte {end}, but the disk at {total}", partition.at)
            return
