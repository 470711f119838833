"""VHDX: file identifier, two headers and region tables ([MS-VHDX], 2.2), all in the first mebibyte."""

from struct import unpack_from

from douane_guest.headers.vhdx import (
    BAT,
    HEADER_BYTES,
    HEADERS,
    MAX_REGIONS,
    METADATA,
    MIB,
    NO_LOG,
    REGION_TABLE_BYTES,
    REGION_TABLES,
    REQUIRED_REGION,
    SIGNATURE,
    VhdxHeader,
    is_region_table,
    read_regions,
)

from .base import Format
from .requests import Bytes
from .tables import Table, TableReader, overlapping_regions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

_NAMES = {BAT: "the block allocation table", METADATA: "the metadata"}


class Vhdx(Format):
    """Recognised by the file identifier, as by qemu (vhdx_probe)."""

    name = "vhdx"
    about = "fixed, dynamic, differencing"
    disk_format = "vhdx"
    declared_as = ("vhdx",)
    allowed = True
    qemu_driver = "vhdx"
    signatures = ((0, SIGNATURE),)

    def read(self, match: "Match") -> "Reader":
        identifier = yield Bytes(0, 520, "the file identifier")
        match.note("creator", identifier[8:].decode("utf-16-le", "replace").partition("\0")[0], 8)
        headers = []
        for at in HEADERS:
            headers.append(VhdxHeader((yield Bytes(at, HEADER_BYTES, "a header"))))
        regions = [(0, MIB, "the header section")]
        header = _choose_header(match, headers)
        if header:
            at, length = _read_header(match, header, HEADERS[headers.index(header)])
            regions.append((at, length, "the log"))
        tables = []
        for at in REGION_TABLES:
            tables.append((yield Bytes(at, REGION_TABLE_BYTES, "a region table")))
        listed = _read_regions(match, tables)
        regions += [(at, length, _NAMES.get(name, "a region")) for name, at, length in listed]
        for first, second, at in overlapping_regions(regions):
            match.find("overlap", f"{second} overlaps {first}", at)
        for at, length, what in regions[1:]:
            match.must_reach(at + length, what)
        yield from _read_contents(match, listed, regions)


def _choose_header(match: "Match", headers: "list[VhdxHeader]") -> "VhdxHeader | None":
    """The current header: the valid one with the higher sequence number ([MS-VHDX], 2.2.2)."""
    valid = [header for header in headers if header.is_intact]
    if not valid:
        match.find("checksum", "neither of its headers is valid", HEADERS[0])
        return None
    if len(valid) < 2:
        # allowed: a header is written while the other one is valid
        which = 1 - headers.index(valid[0])
        invalid, at = headers[which], HEADERS[which]
        match.find("odd", f"header {which + 1} is not valid, but the other header is", at)
        if invalid.data[:4] == b"head" and invalid.log != NO_LOG:
            # the writer was stopped with changes in the log, or somebody set the log for readers without checksums
            match.find("log", f"header {which + 1}, which is not valid, has the log {invalid.log.hex()}", at + 48)
        return valid[0]
    if valid[0].sequence == valid[1].sequence and valid[0].data[16:80] != valid[1].data[16:80]:
        # Disk2vhd writes two equal headers (qemu, vhdx_parse_header)
        match.find("header", "its headers differ, but have the same sequence number", HEADERS[1] + 8)
    return valid[0] if valid[0].sequence >= valid[1].sequence else valid[1]


def _read_header(match: "Match", header: VhdxHeader, offset: int) -> "tuple[int, int]":
    """Read the current header; return offset and length of the log."""
    log_version, version, length, at = header.log_version, header.version, header.log_length, header.log_at
    match.note("current header", offset, offset)
    match.note("sequence number", header.sequence, offset + 8)
    match.note("version", version, offset + 66)
    match.note("log", f"{length} bytes at {at}", offset + 68)
    if version != 1 or log_version:
        match.find("version", f"version is {version}, that of the log {log_version}, but must be 1 and 0", offset + 64)
    if header.log != NO_LOG:
        match.find("log", f"its log {header.log.hex()} must be replayed before the disk is complete", offset + 48)
    if at % MIB or length % MIB or at < MIB:
        match.find("header", f"the log, {length} bytes at {at}, is not whole mebibytes after the first", offset + 68)
    return at, length


def _read_regions(match: "Match", tables: "list[bytes]") -> "list[tuple[bytes, int, int]]":
    """Identity, offset and length of each region in the first table, the only one that qemu reads."""
    table, offset = tables[0], REGION_TABLES[0]
    for number, copy in enumerate(tables if tables[1] != table else tables[:1]):
        if not is_region_table(copy):
            match.find("checksum", f"region table {number + 1} is not valid", REGION_TABLES[number])
            if not number:
                return []
        elif number:
            match.find("header", "its region tables differ", REGION_TABLES[1])
    (count,) = unpack_from("<I", table, 8)
    if count > MAX_REGIONS:
        match.find("header", f"it has {count} regions, but may have at most {MAX_REGIONS}", offset + 8)
        return []
    regions: list[tuple[bytes, int, int]] = []
    names = set()
    for number, (name, start, length, flags) in enumerate(read_regions(table)):
        at = 16 + number * 32
        match.note(_NAMES.get(name, f"region {name.hex()}"), f"{length} bytes at {start}", offset + at)
        if start % MIB or length % MIB or start < MIB:
            match.find("header", f"a region, {length} bytes at {start}, is not whole mebibytes", offset + at + 16)
        if name in names:
            match.find("header", f"the region {name.hex()} appears twice", offset + at)
            continue
        names.add(name)
        if name not in _NAMES and flags & REQUIRED_REGION:
            match.find("unknown-feature", f"the region {name.hex()} is unknown, but required", offset + at)
        regions.append((name, start, length))
    for name in _NAMES.keys() - names:
        match.find("header", f"it has no region for {_NAMES[name]}", offset)
    return regions


def _read_contents(
    match: "Match", listed: "list[tuple[bytes, int, int]]", regions: "list[tuple[int, int, str]]"
) -> "Reader":
    """Read the metadata and the block allocation table, in the order of their offsets."""
    from .vhdx_blocks import Blocks
    from .vhdx_metadata import Metadata

    reader = TableReader(match, MIB)
    places = {name: (at, length) for name, at, length in listed}
    metadata = blocks = None
    if METADATA in places:
        at, length = places[METADATA]
        metadata = Metadata(match, reader, at, length)
        reader.add(metadata)
    if BAT in places:
        at, length = places[BAT]
        blocks = Blocks(match.data, reader, regions)
        reader.add(Table(at, length, _NAMES[BAT], blocks.use))
    yield from reader.read()
    if metadata:
        metadata.judge()
    if metadata and blocks and metadata.block:
        blocks.judge(metadata)
        needed = metadata.entries * 8
        if needed > places[BAT][1]:
            at, length = places[BAT]
            match.find("header", f"the table has {length} bytes, too few for {needed} bytes of entries", at)
