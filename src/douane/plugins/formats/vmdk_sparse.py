"""VMDK: the hosted sparse extent ("Virtual Disk Format 5.0", VMware, "Hosted Sparse Extents"), compressed or not.

Header, descriptor, grain directories and tables, with the limits of qemu (block/vmdk.c: vmdk_open_vmdk4,
vmdk_add_extent). The stream of a compressed extent is read by `vmdk_stream`.
"""

from struct import unpack_from

from douane_guest.headers.vmdk import (
    AT_END,
    COMPRESSED,
    END_MARKER,
    FOOTER_BYTES,
    FOOTER_MARKER,
    INCOMPATIBLE,
    MARKERS,
    MAX_BYTES,
    MAX_GRAIN_SECTORS,
    MAX_TABLE_ENTRIES,
    MAX_TABLES,
    MAX_VERSION,
    NEWLINES,
    REDUNDANT,
    ZEROED,
    VmdkHeader,
)
from douane_guest.headers.vmdk_descriptor import MAX_BYTES as MAX_DESCRIPTOR

from . import vmdk_descriptor
from .requests import NO_END, Bytes, Tail
from .tables import Table, TableReader, numbers, overlapping_regions
from .vmdk_stream import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader


def read_sparse(match: "Match") -> "Reader":
    """Read an image that begins with the header of a sparse extent."""
    start = yield Bytes(0, vmdk_descriptor.QEMU_OFFSET + vmdk_descriptor.QEMU_BYTES, "the header", short=True)
    if len(start) < 512:
        match.find("truncated", f"its header has {len(start)} bytes, but must have 512")
        return
    header = VmdkHeader(start)
    _note(match, header)
    compressed = header.compression == 1
    match.variant = "streamOptimized" if compressed else "monolithicSparse"
    match.virtual_size = header.capacity * 512
    readable = _judge_header(match, header)
    reader = TableReader(match, len(start))
    _embed(match, header, start, reader)
    if not readable:
        yield from reader.read()
        return
    stream = Stream(match, header.overhead * 512, header.grain, header.capacity, header.entries) if compressed else None
    tables = _Tables(match, header, reader)
    at_end = header.directory == AT_END or bool(stream and header.directory >= header.overhead)
    if not at_end and header.tables:
        tables.add(header.directory, "grain directory")
        if header.flags & REDUNDANT:
            tables.add(header.redundant, "redundant grain directory")
        _judge_overlap(match, header)
    match.must_reach(header.overhead * 512, "the metadata before the grains")
    yield from reader.read()
    if stream:
        # a table without entries and a stream that has them are two disks: see Stream.compare
        yield from stream.read()
        if not at_end:
            stream.compare(tables.count, tables.sum)
    if header.directory == AT_END:
        footer = yield Tail(FOOTER_BYTES)
        _judge_footer(match, header, footer, stream)
    elif stream and at_end:
        stream.expect_directory(header.directory * 512)


def _note(match: "Match", header: VmdkHeader) -> None:
    match.note("version", header.version, 4)
    match.note("flags", f"{header.flags:#x}", 8)
    match.note("capacity in sectors", header.capacity, 12)
    match.note("grain in sectors", header.grain, 20)
    match.note("descriptor", f"sector {header.descriptor}, {header.descriptor_length} sectors", 28)
    match.note("entries of a grain table", header.entries, 44)
    match.note("redundant grain directory", header.redundant, 48)
    match.note("grain directory", "at the end" if header.directory == AT_END else header.directory, 56)
    match.note("overhead in sectors", header.overhead, 64)
    match.note("compression", header.compression, 77)


def _judge_header(match: "Match", header: VmdkHeader) -> bool:
    """Check the header; False if the tables cannot be read."""
    if not 0 < header.version <= MAX_VERSION:
        match.find("version", f"version is {header.version}, but must be 1 to {MAX_VERSION}", 4)
    unknown = header.flags & INCOMPATIBLE & ~(COMPRESSED | MARKERS)
    if unknown:
        match.find("unknown-feature", f"unknown flags: {unknown:#x}", 8)
    if header.flags & NEWLINES and header.newlines != b"\n \r\n":
        # the check of the specification for a transfer as text
        help = "upload it again, in binary mode"
        match.find("corrupt", f"a transfer as text changed its line ends: {header.newlines!r}", 73, help=help)
    if header.unclean:
        match.find("dirty", "uncleanShutdown is set: it was not closed properly", 72)
    if header.compression > 1:
        match.find("unknown-feature", f"unknown compression: {header.compression}", 77)
    # qemu uses the algorithm, the specification the flag
    elif bool(header.flags & COMPRESSED) != (header.compression == 1):
        match.find("header", f"flags {header.flags:#x} and compression {header.compression} contradict each other", 77)
    elif header.compression == 1 and not header.flags & MARKERS:
        match.find("header", "it is compressed without markers, so that the lengths of grains are unknown", 8)
    if not header.capacity and header.descriptor:
        # vmdk_open_vmdk4 in block/vmdk.c takes it for a descriptor, and opens the files that the descriptor names
        match.find("external-extent", "its capacity is 0: qemu opens the files that its descriptor names", 12)
    readable = True
    if not 0 < header.grain <= MAX_GRAIN_SECTORS or header.grain & header.grain - 1:
        text = f"a grain has {header.grain} sectors, but must have a power of 2 up to {MAX_GRAIN_SECTORS}"
        match.find("header", text, 20)
        readable = False
    elif header.grain < 8:
        match.find("odd", f"a grain has {header.grain} sectors, but should have at least 8", 20)
    if not 0 < header.entries <= MAX_TABLE_ENTRIES:
        match.find("header", f"a grain table has {header.entries} entries, more than {MAX_TABLE_ENTRIES}", 44)
        readable = False
    if header.capacity * 512 > MAX_BYTES:
        match.find("virtual-size", f"the disk has {header.capacity} sectors, which is absurd", 12)
        return False
    if readable and header.tables > MAX_TABLES:
        match.find("header", f"it has {header.tables} grain tables, but may have at most {MAX_TABLES}", 12)
        return False
    return readable


def _embed(match: "Match", header: VmdkHeader, start: bytes, reader: TableReader) -> None:
    """Read the descriptor at the place in the header, and at the place that qemu reads."""
    at, length = header.descriptor * 512, header.descriptor_length * 512
    fixed = start[vmdk_descriptor.QEMU_OFFSET :].partition(b"\0")[0]
    if not at or not length:
        _find_extent(match, 28)
        if b"CID" in fixed:
            match.find("descriptor", "its header has no descriptor, but qemu finds one at 512", 512)
        vmdk_descriptor.find_parent(match, fixed, vmdk_descriptor.QEMU_OFFSET)
        return
    if length > MAX_DESCRIPTOR:
        match.find("header", f"the descriptor has {length} bytes, but qemu reads {MAX_DESCRIPTOR}", 36)
        length = MAX_DESCRIPTOR
    if at != vmdk_descriptor.QEMU_OFFSET:
        if b"CID" in fixed:
            match.find("descriptor", f"qemu finds a second descriptor at 512; the header says {at}", 28)
        vmdk_descriptor.find_parent(match, fixed, vmdk_descriptor.QEMU_OFFSET)
    elif len(fixed) > length:  # qemu reads past its end
        vmdk_descriptor.find_parent(match, fixed, vmdk_descriptor.QEMU_OFFSET)
    match.must_reach(at + length, "the descriptor")

    def judge(piece: bytes) -> None:
        if not piece.strip(b"\0"):  # as in extents that qemu makes
            _find_extent(match, at)
            return
        vmdk_descriptor.judge_embedded(match, piece, at, header.capacity, header.grain)

    reader.add(Table(at, length, "the descriptor", judge))


def _find_extent(match: "Match", offset: int) -> None:
    match.name = "vmdk-extent"
    match.find("subformat", "it has no descriptor: it is one of several parts of a disk", offset)


def _judge_overlap(match: "Match", header: VmdkHeader) -> None:
    length = header.tables * 4
    regions = [
        (0, 512, "the header"),
        (header.descriptor * 512, header.descriptor_length * 512, "the descriptor"),
        (header.directory * 512, length, "the grain directory"),
    ]
    if header.flags & REDUNDANT:
        regions.append((header.redundant * 512, length, "the redundant grain directory"))
    for first, second, offset in overlapping_regions(regions):
        match.find("overlap", f"{second} overlaps {first}", offset)


class _Tables:
    """The grain directories and tables of an extent; `count` and `sum` are of the sectors in the first directory."""

    def __init__(self, match: "Match", header: VmdkHeader, reader: TableReader) -> None:
        self._match, self._header, self._reader = match, header, reader
        self.count = self.sum = 0

    def add(self, sector: int, what: str) -> None:
        """Read the directory at `sector`, and its tables."""
        self._reader.must_reach(sector * 512 + self._header.tables * 4, f"the {what}")
        redundant = what.startswith("redundant")

        def use_table(piece: bytes) -> None:
            self._use_table(piece, counts=not redundant)

        def use_directory(piece: bytes) -> None:
            sectors = set(numbers(piece, "<I"))
            sectors.discard(0)
            length = self._header.entries * 4
            if sectors:
                self._reader.must_reach(max(sectors) * 512 + length, "a grain table")
            self._reader.add_tables([sector * 512 for sector in sectors], length, "a grain table", use_table)

        self._reader.add(Table(sector * 512, self._header.tables * 4, f"the {what}", use_directory))

    def _use_table(self, piece: bytes, *, counts: bool) -> None:
        entries = numbers(piece, "<I")
        sectors = set(entries)
        sectors.discard(0)
        if self._header.flags & ZEROED:
            sectors.discard(1)
        if not sectors:
            return
        if counts and self._header.compression != 1:
            self._match.data.add_blocks((sector * 512 for sector in sectors), self._header.grain * 512)
        if counts:
            used = len(entries) - entries.count(0)
            total = sum(entries)
            if self._header.flags & ZEROED:
                used -= entries.count(1)
                total -= entries.count(1)
            self.count += used
            self.sum += total
            if used > len(sectors):
                self._reader.find_once("overlap", "a grain table has the same grain twice", key="grain twice")
        compressed = self._header.compression == 1
        self._reader.must_reach(max(sectors) * 512 + (12 if compressed else self._header.grain * 512), "a grain")
        if min(sectors) < self._header.overhead:
            text = f"a grain is in sector {min(sectors)}, among the tables"
            self._reader.find_once("overlap", text, key="grain in tables")


def _judge_footer(match: "Match", header: VmdkHeader, tail: bytes, stream: "Stream | None") -> None:
    """Check the last three sectors: a marker, the footer, the marker of the end.

    Footer and header must agree: qemu uses the footer, readers of a stream use the header.
    """
    if len(tail) < FOOTER_BYTES or match.total % 512:
        detail = f"its directory should be at the end, but {len(tail)} bytes are no footer"
        match.find("truncated", detail, help=NO_END)
        return
    at = match.total - 1024
    if (
        unpack_from("<QII", tail) != FOOTER_MARKER
        or tail[512:516] != b"KDMV"
        or unpack_from("<QII", tail, 1024) != END_MARKER
    ):
        match.find("truncated", "it does not end with its footer, which has the directory", at, help=NO_END)
        return
    footer = VmdkHeader(tail[512:1024])
    match.note("grain directory of the footer", footer.directory, at + 56)
    match.virtual_size = footer.capacity * 512
    if footer.geometry() != header.geometry() or (footer.descriptor, footer.descriptor_length) != (
        header.descriptor,
        header.descriptor_length,
    ):
        match.find("header", "the footer differs from the header", at)
    elif footer.directory == AT_END:
        match.find("header", "the footer says that the directory is in the footer", at + 56)
    elif stream:
        match.must_reach(footer.directory * 512 + header.tables * 4, "the grain directory")
        stream.expect_directory(footer.directory * 512)
    else:
        match.find("unchecked", "its grain directory follows its grains")
        match.must_reach(footer.directory * 512 + header.tables * 4, "the grain directory")
