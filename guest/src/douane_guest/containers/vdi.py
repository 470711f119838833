"""VDI, the format of VirtualBox (VDICore.h; qemu, block/vdi.c)."""

from __future__ import annotations

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.headers import vdi as header_fields
from douane_guest.headers.vdi import NO_ID, VdiHeader
from douane_guest.source import Source

from .blocks import ZERO, BlockDisk
from .numbers import Numbers


def probe(source: Source) -> bool:
    """True for the signature behind the text, as qemu."""
    return source.size >= 512 and header_fields.begins(source.pread(0, 512))


def open(source: Source, budget: Budget) -> VdiDisk:
    """Read the header, and refuse what has its data elsewhere."""
    header = VdiHeader(source.pread(0, 512))
    if header.version != header_fields.VERSION:
        raise Unsupported(f"VDI version {header.version:#x} is not read")
    if header.kind not in (header_fields.DYNAMIC, header_fields.STATIC):
        raise Unsupported(f"the VDI is of type {header.kind}, which is a difference to another file, or unknown")
    if header.identity("link") != NO_ID or header.identity("parent") != NO_ID:
        raise Unsupported("the VDI is a difference to another file, its parent")
    if header.extra:
        raise Unsupported("the blocks of the VDI have extra bytes, which some programs read as data")
    if header.block < 4096 or header.block & header.block - 1:
        raise Broken(f"a block of a VDI cannot have {header.block} bytes")
    if header.sector != 512 or header.map % 512 or header.blocks_at % 512 or header.map < 512:
        raise Broken("the header of the VDI is impossible: its sectors, its map, or its data")
    if header.blocks > header_fields.MAX_BLOCKS or header.virtual_size > header.blocks * header.block:
        raise Broken(f"a disk of {header.size} bytes does not fit the {header.blocks} blocks of the VDI")
    return VdiDisk(source, budget, header)


class VdiDisk(BlockDisk):
    """The map has the number of each block in the data."""

    format = "vdi"

    def __init__(self, source: Source, budget: Budget, header: VdiHeader) -> None:
        super().__init__(source, budget, header.virtual_size, header.block)
        self._map, self._data, self._count = header.map, header.blocks_at, header.blocks
        self._numbers = Numbers(source, budget, "I", "little", empty=0xFF)

    def place(self, number: int) -> int:
        """See :class:`BlockDisk`."""
        index = self._numbers.at(self._map + number * 4)
        if index >= header_fields.ZERO:
            return ZERO
        if index >= self._count:
            raise Broken(f"the map of the VDI has block {index} of {self._count}")
        return self._data + index * self._block

    def next_used(self, number: int) -> int:
        """See :class:`BlockDisk`."""
        end = self._map + -(-self.size // self._block) * 4
        return (self._numbers.next_used(self._map + number * 4, end) - self._map) // 4
