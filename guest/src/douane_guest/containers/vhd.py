"""VHD, ``vpc`` to qemu ("Virtual Hard Disk Image Format Specification 1.0", Microsoft): fixed and dynamic."""

from __future__ import annotations

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.headers import vhd as header_fields
from douane_guest.headers.vhd import BYTES, COOKIE, DIFFERENCING, DYNAMIC, FIXED, DynamicHeader, Footer
from douane_guest.source import Source, Window

from .base import Disk
from .blocks import PACKED, ZERO, BlockDisk
from .numbers import Numbers
from .raw import RawDisk

_UNUSED = 0xFFFFFFFF
_MAX_BLOCK = 256 << 20
_PIECE = 64 << 10
"""Blocks are read in pieces of so many bytes, so that a block with a bitmap that has holes is never in memory."""


def probe(source: Source) -> bool:
    """True if it begins with the copy of a footer, or ends with the footer of a fixed disk of its size."""
    if source.size < BYTES:
        return False
    return source.pread(0, 8) == COOKIE or _fixed_footer(source) is not None


def open(source: Source, budget: Budget) -> Disk:
    """Read the footer, and the header of a dynamic disk."""
    fixed = _fixed_footer(source)
    if source.pread(0, 8) != COOKIE:
        if fixed is None or not fixed[1].is_intact:
            raise Broken("the checksum of the footer of the VHD is wrong")
        return FixedVhd(source, budget, fixed[0])
    footer = Footer(source.pread(0, BYTES))
    if not footer.is_intact:
        raise Broken("the checksum of the copy of the footer of the VHD is wrong")
    if footer.type == DIFFERENCING:
        raise Unsupported("the VHD is a difference to another file, its parent")
    if footer.type != DYNAMIC:
        raise Broken(f"the VHD begins with a footer, which a disk of type {footer.type} does not")
    last = source.pread(source.size - BYTES, BYTES)
    if last[:8] == COOKIE and Footer(last).meaning() != footer.meaning():
        raise Broken("the footer of the VHD differs from its copy at the start")
    return _open_dynamic(source, budget, footer)


def _fixed_footer(source: Source) -> tuple[int, Footer] | None:
    """The footer at the end of a fixed disk, and its offset. Virtual PC before 2004 wrote 511 bytes (specification,
    "Hard Disk Footer Format")."""
    tail = source.pread(source.size - BYTES, BYTES)
    start = tail.find(COOKIE, 0, len(COOKIE) + 1)
    if start < 0:
        return None
    footer, at = Footer(tail[start:]), source.size - BYTES + start
    # The disk is all that stands before the footer, whichever of its sizes a program goes by.
    if footer.type != FIXED or at not in (footer.size, footer.size // 512 * 512, footer.geometry_size):
        return None
    return at, footer


def _open_dynamic(source: Source, budget: Budget, footer: Footer) -> DynamicVhd:
    data = source.pread(footer.next, DynamicHeader.BYTES)
    header = DynamicHeader(data)
    if data[:8] != b"cxsparse" or not header.is_intact:
        raise Broken("the header of the dynamic VHD is damaged")
    if header.block < 4096 or header.block & header.block - 1 or header.block > _MAX_BLOCK:
        raise Broken(f"a block of a VHD cannot have {header.block} bytes")
    if footer.virtual_size > header_fields.MAX_BYTES:
        raise Broken(f"a VHD cannot have {footer.virtual_size} bytes")
    if header.entries * header.block < footer.virtual_size:
        raise Broken(f"a disk of {footer.virtual_size} bytes does not fit the {header.entries} blocks of the VHD")
    if header.table % 4:
        raise Broken(f"the block allocation table of the VHD cannot be at {header.table}")
    if header.table + header.entries * 4 > source.size:
        raise Broken(f"the block allocation table of the VHD has {header.entries} entries, more than the file")
    return DynamicVhd(source, budget, footer.virtual_size, header)


class FixedVhd(RawDisk):
    """All bytes before the footer."""

    format = "vhd"

    def __init__(self, source: Source, budget: Budget, size: int) -> None:
        super().__init__(Window(source, 0, size), budget)


class DynamicVhd(BlockDisk):
    """A bitmap is in front of each block, with a bit for each sector that was written.

    Programs differ in whether they look at it: qemu reads the whole block. So sectors whose bit is 0 must be zeros.
    """

    format = "vhd"

    def __init__(self, source: Source, budget: Budget, size: int, header: DynamicHeader) -> None:
        piece = min(header.block, _PIECE)
        super().__init__(source, budget, size, piece)
        self._table, self._bitmap_bytes = header.table, header.bitmap_bytes
        self._pieces = header.block // piece
        self._used = header.block // 4096
        self._numbers = Numbers(source, budget, "I", "big", empty=0xFF)
        self._kept, self._start, self._bitmap, self._is_full = -1, 0, b"", False

    def place(self, number: int) -> int:
        """See :class:`BlockDisk`."""
        block, piece = divmod(number, self._pieces)
        if block != self._kept:
            sector = self._numbers.at(self._table + block * 4)
            self._start = -1 if sector == _UNUSED else sector * 512 + self._bitmap_bytes
            if self._start >= 0:
                self._bitmap = self._source.pread(sector * 512, self._used)
                self._is_full = self._bitmap.count(0xFF) == self._used
            self._kept = block
        if self._start < 0:
            return ZERO
        return self._start + piece * self._block if self._is_full else PACKED

    def unpack(self, number: int) -> bytes:
        """See :class:`BlockDisk`: a piece of a block with sectors that were not written."""
        piece = number % self._pieces
        data = self._source.pread(self._start + piece * self._block, self._block)
        sectors = self._block // 512
        for index in range(sectors):
            sector = piece * sectors + index
            if self._bitmap[sector >> 3] << (sector & 7) & 0x80:
                continue
            if data.count(0, index * 512, index * 512 + 512) != 512:
                raise Broken("a sector of the VHD has data, but its bitmap says that it was never written")
        return data

    def next_used(self, number: int) -> int:
        """See :class:`BlockDisk`."""
        block, piece = divmod(number, self._pieces)
        blocks = -(-self.size // (self._block * self._pieces))
        at, end = self._table + block * 4, self._table + blocks * 4
        skipped = (self._numbers.next_used(at, end) - at) // 4
        return (block + skipped) * self._pieces + (0 if skipped else piece)
