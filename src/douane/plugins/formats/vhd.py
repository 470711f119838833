"""VHD, ``vpc`` to qemu ("Virtual Hard Disk Image Format Specification 1.0", Microsoft)."""

from bisect import bisect_left
from operator import sub

from douane_guest.headers import vhd as headers
from douane_guest.headers.vhd import COOKIE, DIFFERENCING, DYNAMIC, FIXED, VERSION, DynamicHeader, Footer

from . import vhd_footer
from .base import Format
from .requests import NO_END, TAIL_BYTES, Bytes, Tail
from .tables import Table, TableReader, numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

_NOWHERE = (1 << 64) - 1
_UNUSED = 0xFFFFFFFF
_MAX_BLOCK = 256 << 20
"""Far more than any tool offers; the default in the specification is 2 MiB."""


class Vhd(Format):
    """Recognised by its footer, or the copy of the footer at the start."""

    name = "vhd"
    about = "fixed, dynamic, differencing"
    disk_format = "vhd"
    declared_as = ("vhd", "vpc")
    allowed = True
    qemu_driver = "vpc"
    signatures = ((0, COOKIE),)

    def ends(self, tail: bytes, total: int) -> bool:
        # Virtual PC before 2004 wrote 511 bytes (specification, "Hard Disk Footer Format")
        return tail[-512:].startswith(COOKIE) or tail[-511:].startswith(COOKIE)

    def read(self, match: "Match") -> "Reader":
        if match.at == "end":
            yield from _read_end(match)
            return
        data = yield Bytes(0, headers.BYTES, "the copy of the footer")
        footer = Footer(data)
        vhd_footer.judge(match, footer, 0, footer.virtual_size)
        match.variant = headers.TYPES.get(footer.type, "")
        if footer.type == FIXED:
            # qemu opens it as dynamic, then reads it from its start as fixed (block/vpc.c)
            match.find("header", "it begins with a footer, but a disk of fixed size has none there", 60)
        elif footer.type in (DYNAMIC, DIFFERENCING):
            yield from _read_dynamic(match, footer)
        tail = yield Tail(TAIL_BYTES)
        data = tail.rstrip(b"\0")
        start = tail.rfind(COOKIE)
        if start < 0 or len(data) > start + headers.BYTES or len(tail) < start + headers.BYTES - 1:
            detail = "it does not end with its footer" if len(data) else "it ends in zeros, and not with its footer"
            match.find("truncated", detail, max(0, match.total - headers.BYTES), help=NO_END)
            return
        last = Footer(tail[start : start + headers.BYTES])
        offset = match.total - len(tail) + start
        if offset + headers.BYTES < match.total:
            # qemu opens it by the copy at the start. Tools fill files up to whole mebibytes.
            detail = f"{match.total - offset - headers.BYTES} zeros follow its footer"
            match.find("trailing-data", detail, offset + headers.BYTES)
        if not last.is_intact:
            match.find("checksum", "the checksum of the footer at the end is wrong", offset + 64)
        if last.meaning() != footer.meaning():
            match.find("header", "the footer at the end differs from its copy at the start", offset)


def _read_end(match: "Match") -> "Reader":
    """Read a footer without a copy at the start: a fixed disk, if the footer says so.

    qemu opens such a disk if the user names the format, and does not recognise it (block/vpc.c: vpc_probe).
    """
    tail = yield Tail(headers.BYTES)
    start = tail.find(COOKIE, 0, len(COOKIE) + 1)
    if start < 0:
        return
    footer = Footer(tail[start:])
    offset = match.total - len(tail) + start
    match.signatures = (offset,)
    if footer.type == FIXED and offset in (footer.size, footer.size // 512 * 512, footer.geometry_size):
        # The disk is all that stands before the footer, whichever of the two a program goes by.
        vhd_footer.judge(match, footer, offset, offset)
        match.variant = "fixed"
        if footer.next != _NOWHERE:
            match.find("odd", f"a fixed disk has the data offset {footer.next:#x}", offset + 16)
    elif footer.type in (DYNAMIC, DIFFERENCING) and footer.is_intact:
        vhd_footer.judge(match, footer, offset, footer.virtual_size)
        match.variant = headers.TYPES[footer.type]
        match.find("header", "the copy of the footer at the start is missing", 0)
    else:
        match.name, match.disk_format, match.kind = "vhd-footer", "raw", "content"
        match.note("current size", footer.size, offset + 48)
        match.find("odd", f"it ends like a VHD of {footer.size} bytes, but has {offset} before the footer", offset)


def _read_dynamic(match: "Match", footer: Footer) -> "Reader":
    """Read the header and the block allocation table ("Dynamic Disk Header Format", "Block Allocation Table")."""
    at = footer.next
    header = yield Bytes(at, DynamicHeader.BYTES, "the dynamic header")
    if header[:8] != b"cxsparse":
        match.find("header", f"the dynamic header begins with {header[:8]!r}", at)
        return
    fields = DynamicHeader(header)
    table, version, entries, block = fields.table, fields.version, fields.entries, fields.block
    match.note("block allocation table", table, at + 16)
    match.note("entries", entries, at + 28)
    match.note("block size", block, at + 32)
    if not fields.is_intact:
        match.find("checksum", f"the checksum of the dynamic header, {fields.checksum:#x}, is wrong", at + 36)
    if version != VERSION:
        match.find("version", f"version of the dynamic header is {version:#x}, but must be {VERSION:#x}", at + 24)
    if footer.type == DIFFERENCING:
        parent = header[64:576].decode("utf-16-be", "replace").partition("\0")[0]
        match.note("parent", parent, at + 64)
        match.find("parent", f"it is the difference to {parent[:200]!r}", at + 64)
    elif any(header[40:56]):
        match.find("odd", "it has the identity of a parent, but is not a differencing disk", at + 40)
    if block < 512 or block & block - 1 or block > _MAX_BLOCK:
        match.find("header", f"a block has {block} bytes, but must have a power of 2", at + 32)
        return
    if entries * block < footer.virtual_size:
        match.find("header", f"{entries} blocks of {block} bytes are less than {footer.virtual_size}", at + 28)
    if entries > headers.MAX_BYTES // block + 1:
        match.find("header", f"{entries} blocks of {block} bytes are more than a disk can have", at + 28)
    end = table + entries * 4
    if (table < at + DynamicHeader.BYTES and end > at) or table < headers.BYTES:
        match.find("overlap", "the block allocation table overlaps a header", table)
    reader = TableReader(match, at + DynamicHeader.BYTES)
    reader.must_reach(end, "the block allocation table")
    reader.add(Table(table, entries * 4, "the block allocation table", _Blocks(match, reader, fields, end).use))
    yield from reader.read()


class _Blocks:
    """Checks the entries of a block allocation table that ends at `end`."""

    def __init__(self, match: "Match", reader: TableReader, header: DynamicHeader, end: int) -> None:
        self._match, self._reader, self._end = match, reader, end
        self._block, self._bitmap = header.block, header.bitmap_bytes
        self._length = self._bitmap + self._block

    def use(self, piece: bytes) -> None:
        """Check the next piece."""
        entries = sorted(numbers(piece, ">I"))
        sectors = entries[: bisect_left(entries, _UNUSED)]
        if not sectors:
            return
        self._reader.must_reach(sectors[-1] * 512 + self._length, "a block")
        self._match.data.add_blocks((sector * 512 + self._bitmap for sector in sectors), self._block)
        if sectors[0] * 512 < self._end:
            self._reader.find_once("overlap", f"a block is in sector {sectors[0]}, among the headers", key="headers")
        if min(map(sub, sectors[1:], sectors), default=self._length) * 512 < self._length:
            self._reader.find_once("overlap", f"two blocks of {self._length} bytes overlap", key="blocks")
