"""VHDX: file identifier, two headers and region tables ([MS-VHDX], 2.2), all in the first mebibyte."""

from struct import unpack_from

from .base import Format
from .crc32c import fits
from .requests import Bytes
from .tables import Table, TableReader, overlapping_regions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

_MIB = 1 << 20
_HEADERS = (64 << 10, 128 << 10)
_REGIONS = (192 << 10, 256 << 10)
_REGION_BYTES = 64 << 10
_MAX_REGIONS = 2047
_NO_LOG = bytes(16)
_BAT = bytes.fromhex("6677c22d23f600429d64115e9bfd4a08")
_METADATA = bytes.fromhex("06a27c8b90479a4bb8fe575f050f886e")
_NAMES = {_BAT: "the block allocation table", _METADATA: "the metadata"}


class Vhdx(Format):
    """Recognised by the file identifier, as by qemu (vhdx_probe)."""

    name = "vhdx"
    about = "fixed, dynamic, differencing"
    disk_format = "vhdx"
    declared_as = ("vhdx",)
    allowed = True
    qemu_driver = "vhdx"
    signatures = ((0, b"vhdxfile"),)

    def read(self, match: "Match") -> "Reader":
        identifier = yield Bytes(0, 520, "the file identifier")
        match.note("creator", identifier[8:].decode("utf-16-le", "replace").partition("\0")[0], 8)
        headers = []
        for at in _HEADERS:
            headers.append((yield Bytes(at, 4096, "a header")))
        regions = [(0, _MIB, "the header section")]
        header = _choose_header(match, headers)
        if header:
            at, length = _read_header(match, header, _HEADERS[headers.index(header)])
            regions.append((at, length, "the log"))
        tables = []
        for at in _REGIONS:
            tables.append((yield Bytes(at, _REGION_BYTES, "a region table")))
        listed = _read_regions(match, tables)
        regions += [(at, length, _NAMES.get(name, "a region")) for name, at, length in listed]
        for first, second, at in overlapping_regions(regions):
            match.find("overlap", f"{second} overlaps {first}", at)
        for at, length, what in regions[1:]:
            match.must_reach(at + length, what)
        yield from _read_contents(match, listed, regions)


def _choose_header(match: "Match", headers: "list[bytes]") -> "bytes | None":
    """The current header: the valid one with the higher sequence number ([MS-VHDX], 2.2.2)."""
    valid = [header for header in headers if header[:4] == b"head" and fits(header, 4)]
    if not valid:
        match.find("checksum", "neither of its headers is valid", _HEADERS[0])
        return None
    if len(valid) < 2:
        # allowed: a header is written while the other one is valid
        which = 1 - headers.index(valid[0])
        invalid, at = headers[which], _HEADERS[which]
        match.find("odd", f"header {which + 1} is not valid, but the other header is", at)
        if invalid[:4] == b"head" and invalid[48:64] != _NO_LOG:
            # the writer was stopped with changes in the log, or somebody set the log for readers without checksums
            match.find("log", f"header {which + 1}, which is not valid, has the log {invalid[48:64].hex()}", at + 48)
        return valid[0]
    numbers = [unpack_from("<Q", header, 8)[0] for header in valid]
    if numbers[0] == numbers[1] and valid[0][16:80] != valid[1][16:80]:
        # Disk2vhd writes two equal headers (qemu, vhdx_parse_header)
        match.find("header", "its headers differ, but have the same sequence number", _HEADERS[1] + 8)
    return valid[0] if numbers[0] >= numbers[1] else valid[1]


def _read_header(match: "Match", header: bytes, offset: int) -> "tuple[int, int]":
    """Read the current header; return offset and length of the log."""
    log_version, version, length, at = unpack_from("<HHIQ", header, 64)
    match.note("current header", offset, offset)
    match.note("sequence number", unpack_from("<Q", header, 8)[0], offset + 8)
    match.note("version", version, offset + 66)
    match.note("log", f"{length} bytes at {at}", offset + 68)
    if version != 1 or log_version:
        match.find("version", f"version is {version}, that of the log {log_version}, but must be 1 and 0", offset + 64)
    if header[48:64] != _NO_LOG:
        match.find("log", f"its log {header[48:64].hex()} must be replayed before the disk is complete", offset + 48)
    if at % _MIB or length % _MIB or at < _MIB:
        match.find("header", f"the log, {length} bytes at {at}, is not whole mebibytes after the first", offset + 68)
    return at, length


def _read_regions(match: "Match", tables: "list[bytes]") -> "list[tuple[bytes, int, int]]":
    """Identity, offset and length of each region in the first table, the only one that qemu reads."""
    table, offset = tables[0], _REGIONS[0]
    for number, copy in enumerate(tables if tables[1] != table else tables[:1]):
        if copy[:4] != b"regi" or not fits(copy, 4):
            match.find("checksum", f"region table {number + 1} is not valid", _REGIONS[number])
            if not number:
                return []
        elif number:
            match.find("header", "its region tables differ", _REGIONS[1])
    (count,) = unpack_from("<I", table, 8)
    if count > _MAX_REGIONS:
        match.find("header", f"it has {count} regions, but may have at most {_MAX_REGIONS}", offset + 8)
        return []
    regions: list[tuple[bytes, int, int]] = []
    names = set()
    for at in range(16, 16 + count * 32, 32):
        name = table[at : at + 16]
        start, length, flags = unpack_from("<QII", table, at + 16)
        match.note(_NAMES.get(name, f"region {name.hex()}"), f"{length} bytes at {start}", offset + at)
        if start % _MIB or length % _MIB or start < _MIB:
            match.find("header", f"a region, {length} bytes at {start}, is not whole mebibytes", offset + at + 16)
        if name in names:
            match.find("header", f"the region {name.hex()} appears twice", offset + at)
            continue
        names.add(name)
        if name not in _NAMES and flags & 1:
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

    reader = TableReader(match, _MIB)
    places = {name: (at, length) for name, at, length in listed}
    metadata = blocks = None
    if _METADATA in places:
        at, length = places[_METADATA]
        metadata = Metadata(match, reader, at, length)
        reader.add(metadata)
    if _BAT in places:
        at, length = places[_BAT]
        blocks = Blocks(match.data, reader, regions)
        reader.add(Table(at, length, _NAMES[_BAT], blocks.use))
    yield from reader.read()
    if metadata:
        metadata.judge()
    if metadata and blocks and metadata.block:
        blocks.judge(metadata)
        needed = metadata.entries * 8
        if needed > places[_BAT][1]:
            at, length = places[_BAT]
            match.find("header", f"the table has {length} bytes, too few for {needed} bytes of entries", at)
