"""VMDK ("Virtual Disk Format 5.0", VMware): sparse and stream-optimized extents with their descriptor inside."""

from __future__ import annotations

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.headers import vmdk as header_fields
from douane_guest.headers.vmdk import AT_END, GRAIN_DATA_AT, MAGIC, MARKER, VmdkHeader
from douane_guest.headers.vmdk_descriptor import MAX_BYTES, Descriptor
from douane_guest.source import Source

from .blocks import PACKED, ZERO, BlockDisk
from .numbers import Numbers
from .packed import unpack_zlib

_KINDS = ("monolithicsparse", "streamoptimized")
_NO_PARENT = "ffffffff"
_ELSEWHERE = (b"# Disk DescriptorFile", b"COWD", b"\xbe\xba\xfe\xca\0\0\0\0")
"""The beginnings of a descriptor without its extents, and of extents of ESX without their descriptor."""


def probe(source: Source) -> bool:
    """True for a sparse extent, and for the parts of a disk of several files."""
    if source.size < 512:
        return False
    head = source.pread(0, 21)
    return head.startswith((MAGIC, *_ELSEWHERE))


def open(source: Source, budget: Budget) -> VmdkDisk:
    """Read header, footer and descriptor, and refuse what has its data elsewhere."""
    head = source.pread(0, 512)
    if not head.startswith(MAGIC):
        raise Unsupported("the VMDK is one part of a disk of several files: a descriptor, or an extent of ESX")
    header = VmdkHeader(head)
    _check(header)
    _check_descriptor(source, header)
    if header.directory == AT_END:
        header = _footer(source, header)
    return VmdkDisk(source, budget, header)


def _check(header: VmdkHeader) -> None:
    if not 0 < header.version <= header_fields.MAX_VERSION:
        raise Unsupported(f"VMDK version {header.version} is not read")
    known = header_fields.COMPRESSED | header_fields.MARKERS
    if header.flags & header_fields.INCOMPATIBLE & ~known or header.compression > 1:
        raise Unsupported(f"the VMDK has unknown flags {header.flags:#x} or compression {header.compression}")
    if bool(header.flags & header_fields.COMPRESSED) != (header.compression == 1):
        raise Broken("the flags of the VMDK contradict its compression")
    if header.compression and not header.flags & header_fields.MARKERS:
        raise Unsupported("the grains of the VMDK are compressed, but without markers")
    if header.flags & header_fields.NEWLINES and header.newlines != b"\n \r\n":
        raise Broken("a transfer as text changed the line ends in the VMDK")
    if not header.capacity:
        raise Unsupported("the VMDK has no disk of its own; its descriptor may name other files")
    if not 0 < header.grain <= header_fields.MAX_GRAIN_SECTORS or header.grain & header.grain - 1:
        raise Broken(f"a grain of a VMDK cannot have {header.grain} sectors")
    if header.compression and header.grain > 1 << 15:
        raise Unsupported(f"compressed grains of {header.grain} sectors in a VMDK are not read")
    if not 0 < header.entries <= header_fields.MAX_TABLE_ENTRIES:
        raise Broken(f"a grain table of a VMDK cannot have {header.entries} entries")
    if header.disk_bytes > header_fields.MAX_BYTES:
        raise Broken(f"a VMDK cannot have a disk of {header.capacity} sectors")


def _check_descriptor(source: Source, header: VmdkHeader) -> None:
    length = header.descriptor_length * 512
    if length > MAX_BYTES + 1:
        raise Broken(f"the descriptor of the VMDK has {length} bytes, more than qemu reads")
    text = source.pread(header.descriptor * 512, length) if header.descriptor else b""
    if not text.strip(b"\0"):
        raise Unsupported("the VMDK has no descriptor: it is one of several parts of a disk")
    descriptor = Descriptor(text)
    kind = descriptor.value("createType")
    if kind.lower() not in _KINDS:
        raise Unsupported(f"the VMDK is of the type {kind[:40]!r}, whose data are in other files")
    if descriptor.value("parentCID").lower() != _NO_PARENT or descriptor.value("parentFileNameHint"):
        raise Unsupported("the VMDK is a difference to another file, its parent")
    if len(descriptor.extents) != 1 or descriptor.extents[0].kind != "SPARSE":
        raise Unsupported("the descriptor of the VMDK names other extents than that around it")
    if descriptor.sectors != header.capacity:
        raise Broken(f"the descriptor of the VMDK states {descriptor.sectors} sectors, its header {header.capacity}")


def _footer(source: Source, header: VmdkHeader) -> VmdkHeader:
    """The header at the end, which has the place of the directory: between two markers, in the last three sectors."""
    tail = source.pread(source.size - header_fields.FOOTER_BYTES, header_fields.FOOTER_BYTES)
    is_end = MARKER.unpack_from(tail, 1024) == header_fields.END_MARKER
    if MARKER.unpack_from(tail) != header_fields.FOOTER_MARKER or tail[512:516] != MAGIC or not is_end:
        raise Broken("the VMDK does not end with its footer, which has the place of its directory")
    footer = VmdkHeader(tail[512:1024])
    if footer.geometry() != header.geometry() or footer.directory == AT_END:
        raise Broken("the footer of the VMDK differs from its header")
    return footer


class VmdkDisk(BlockDisk):
    """The blocks are grains."""

    format = "vmdk"

    def __init__(self, source: Source, budget: Budget, header: VmdkHeader) -> None:
        super().__init__(source, budget, header.disk_bytes, header.grain * 512)
        self._header, self._grain, self._per_table = header, header.grain, header.entries
        self._numbers = Numbers(source, budget, "I", "little")
        self._directories = [header.directory * 512]
        if header.flags & header_fields.REDUNDANT and not header.compression:
            self._directories.append(header.redundant * 512)
        self._table_number = -1
        self._tables: list[int] = []
        self._grain_at = 0

    def place(self, number: int) -> int:
        """See :class:`BlockDisk`. Where there is a second directory, it must say the same: VMware reads that one if the
        first one is damaged."""
        table, index = divmod(number, self._per_table)
        if table != self._table_number:
            self._tables = [self._numbers.at(directory + table * 4) * 512 for directory in self._directories]
            self._table_number = table
        sectors = [self._numbers.at(start + index * 4) if start else 0 for start in self._tables]
        sector = sectors[0]
        if sector != sectors[-1]:
            raise Broken("the two grain directories of the VMDK contradict each other")
        if not sector or (sector == 1 and self._header.flags & header_fields.ZEROED):
            return ZERO
        self._grain_at = sector * 512
        return PACKED if self._header.compression else self._grain_at

    def unpack(self, number: int) -> bytes:
        """See :class:`BlockDisk`: a grain behind its marker, which states its place on the disk."""
        at = self._grain_at
        sector, length, _ = MARKER.unpack(self._source.pread(at, MARKER.size))
        if sector != number * self._grain:
            raise Broken(f"the grain at {at} of the VMDK is of sector {sector}, not of {number * self._grain}")
        if not 0 < length <= 2 * self._block + 4096:
            raise Broken(f"the grain at {at} of the VMDK cannot have {length} bytes")
        data = unpack_zlib(self._source.pread(at + GRAIN_DATA_AT, length), self._block + 1, window_bits=15)
        needed = min(self._block, self.size - number * self._block)
        if not needed <= len(data) <= self._block:
            raise Broken(f"a grain of the VMDK has {len(data)} bytes instead of {self._block}")
        return data

    def next_used(self, number: int) -> int:
        """See :class:`BlockDisk`."""
        directory, tables = self._directories[0], self._header.tables
        while (table := number // self._per_table) < tables:
            used = (self._numbers.next_used(directory + table * 4, directory + tables * 4) - directory) // 4
            if used != table:
                number = used * self._per_table
                continue
            start = self._numbers.at(directory + table * 4) * 512
            at, end = start + number % self._per_table * 4, start + self._per_table * 4
            skipped = (self._numbers.next_used(at, end) - at) // 4
            if at + skipped * 4 < end:
                return number + skipped
            number = (table + 1) * self._per_table
        return number
