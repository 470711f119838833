"""VHDX ([MS-VHDX]): fixed and dynamic. Its log is replayed in memory."""

from __future__ import annotations

from struct import unpack_from
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.headers import vhdx as header_fields
from douane_guest.headers.vhdx import FULLY_PRESENT, MIB, PARTIALLY_PRESENT, VhdxHeader
from douane_guest.source import Source

from .blocks import ZERO, BlockDisk
from .numbers import Numbers
from .vhdx_log import replayed

_ZEROS = (0, 1, 2, 3, 5)
"""States of a block without data: not present, undefined, zero, unmapped, and unmapped in version 0.95. What an
undefined or unmapped block has is left to the reader; qemu (vhdx_co_readv) reads zeros."""


class Parameters(NamedTuple):
    """What the metadata say of the disk."""

    size: int
    block: int
    sector: int


def probe(source: Source) -> bool:
    """True for the file identifier, as qemu."""
    return source.size >= MIB and source.pread(0, 8) == header_fields.SIGNATURE


def open(source: Source, budget: Budget) -> VhdxDisk:
    """Read headers, regions and metadata."""
    header = _current_header(source)
    if header.version != 1 or header.log_version:
        raise Unsupported(f"VHDX version {header.version} with a log of version {header.log_version} is not read")
    if header.log != header_fields.NO_LOG:
        source = replayed(source, header, budget)
    regions = _regions(source)
    for name, what in ((header_fields.BAT, "block allocation table"), (header_fields.METADATA, "metadata")):
        if name not in regions:
            raise Broken(f"the VHDX has no region for its {what}")
    parameters = _parameters(source, *regions[header_fields.METADATA])
    return VhdxDisk(source, budget, parameters, *regions[header_fields.BAT])


def _current_header(source: Source) -> VhdxHeader:
    """The intact header with the higher sequence number (2.2.2)."""
    headers = [VhdxHeader(source.pread(at, header_fields.HEADER_BYTES)) for at in header_fields.HEADERS]
    intact = [header for header in headers if header.is_intact]
    if not intact:
        raise Broken("neither header of the VHDX is intact")
    if len(intact) == 2 and intact[0].sequence == intact[1].sequence and intact[0].data[16:80] != intact[1].data[16:80]:
        raise Broken("the headers of the VHDX differ, but have the same sequence number")
    return max(intact, key=lambda header: header.sequence)


def _regions(source: Source) -> dict[bytes, tuple[int, int]]:
    """Offset and length of the regions by their identities. qemu reads the first table alone: they must be equal."""
    tables = [source.pread(at, header_fields.REGION_TABLE_BYTES) for at in header_fields.REGION_TABLES]
    if not header_fields.is_region_table(tables[0]):
        raise Broken("the region table of the VHDX is damaged")
    if tables[0] != tables[1] and header_fields.is_region_table(tables[1]):
        raise Broken("the region tables of the VHDX differ")
    (count,) = unpack_from("<I", tables[0], 8)
    if count > header_fields.MAX_REGIONS:
        raise Broken(f"a VHDX cannot have {count} regions")
    regions: dict[bytes, tuple[int, int]] = {}
    for name, start, length, flags in header_fields.read_regions(tables[0]):
        if name in regions:
            raise Broken(f"the region {name.hex()} of the VHDX appears twice")
        if name not in (header_fields.BAT, header_fields.METADATA) and flags & header_fields.REQUIRED_REGION:
            raise Unsupported(f"the VHDX has the region {name.hex()}, which is unknown, but required")
        if start % MIB or start < MIB or start + length > source.size:
            raise Broken(f"a region of the VHDX, {length} bytes at {start}, is in an impossible place")
        regions[name] = (start, length)
    return regions


def _parameters(source: Source, at: int, length: int) -> Parameters:
    """Read the metadata (2.6)."""
    if length < header_fields.METADATA_TABLE_BYTES:
        raise Broken("the metadata of the VHDX are too short")
    table = source.pread(at, header_fields.METADATA_TABLE_BYTES)
    (count,) = unpack_from("<H", table, 10)
    if table[:8] != b"metadata" or count > header_fields.MAX_ITEMS:
        raise Broken("the metadata of the VHDX are damaged")
    values: dict[bytes, int] = {}
    for name, start, size, flags in header_fields.read_items(table):
        if name not in header_fields.ITEMS:
            if flags & header_fields.REQUIRED_ITEM:
                raise Unsupported(f"the VHDX has the item {name.hex()}, which is unknown, but required")
            continue
        what, least = header_fields.ITEMS[name]
        if name in values or start < header_fields.METADATA_TABLE_BYTES or size < least or start + size > length:
            raise Broken(f"the {what} of the VHDX is in an impossible place, or there twice")
        values[name] = int.from_bytes(source.pread(at + start, min(least, 8)), "little")
    return _checked(values)


def _checked(values: dict[bytes, int]) -> Parameters:
    for name in (header_fields.PARAMETERS, header_fields.SIZE, header_fields.LOGICAL):
        if name not in values:
            raise Broken(f"the VHDX does not state its {header_fields.ITEMS[name][0]}")
    block, flags = values[header_fields.PARAMETERS] & 0xFFFF_FFFF, values[header_fields.PARAMETERS] >> 32
    if flags & header_fields.HAS_PARENT or header_fields.PARENT in values:
        raise Unsupported("the VHDX is a difference to another file, its parent")
    size, sector = values[header_fields.SIZE], values[header_fields.LOGICAL]
    if not MIB <= block <= 256 * MIB or block & block - 1:
        raise Broken(f"a block of a VHDX cannot have {block} bytes")
    if sector not in (512, 4096) or size % sector or size > header_fields.MAX_DISK:
        raise Broken(f"a VHDX cannot have a disk of {size} bytes with sectors of {sector}")
    return Parameters(size, block, sector)


class VhdxDisk(BlockDisk):
    """The block allocation table has an entry of 8 bytes for each block, and between these one for each sector bitmap,
    which only a difference has (2.5)."""

    format = "vhdx"

    def __init__(self, source: Source, budget: Budget, parameters: Parameters, at: int, length: int) -> None:
        super().__init__(source, budget, parameters.size, parameters.block)
        self.sector_size = parameters.sector
        self._ratio = max(1, header_fields.CHUNK_SECTORS * parameters.sector // parameters.block)
        self._table = at
        self._numbers = Numbers(source, budget, "Q", "little")
        blocks = -(-parameters.size // parameters.block)
        if blocks and self._entry_at(blocks - 1) + 8 > at + length:
            raise Broken(f"the block allocation table of the VHDX has {length} bytes, too few for {blocks} blocks")

    def place(self, number: int) -> int:
        """See :class:`BlockDisk`."""
        entry = self._numbers.at(self._entry_at(number))
        state = entry & 7
        if state == FULLY_PRESENT:
            place = entry >> 20 << 20
            if not place:
                raise Broken("a block of the VHDX lies in its headers")
            return place
        if state == PARTIALLY_PRESENT:
            raise Broken("a block of the VHDX is partly in a parent, but there is no parent")
        if state not in _ZEROS:
            raise Broken(f"a block of the VHDX has the state {state}, which is not in use")
        return ZERO

    def _entry_at(self, number: int) -> int:
        return self._table + (number + number // self._ratio) * 8
