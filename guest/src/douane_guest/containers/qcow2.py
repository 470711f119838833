"""qcow2, versions 2 and 3 (qemu, docs/interop/qcow2.txt): plain, packed with zlib or zstd, with subclusters.

Internal snapshots are ignored: the guest starts with the current state.
"""

from __future__ import annotations

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.headers import qcow2 as header_fields
from douane_guest.headers.qcow2 import COMPRESSED_BIT, MAGIC, OFFSET, RESERVED, V2_BYTES, V3_BYTES, Qcow2Header
from douane_guest.source import Source

from .blocks import PACKED, ZERO, BlockDisk
from .numbers import Numbers
from .packed import unpack_zlib, unpack_zstd
from .padded import Padded

_SUBCLUSTERS = 32
_ZLIB_WINDOW = -12
"""A stream without header, of 4 KiB at most: what qemu reads (block/qcow2-threads.c: qcow2_zlib_decompress)."""


def probe(source: Source) -> bool:
    """True for the magic of every version but 1, which is another format."""
    if source.size < V2_BYTES:
        return False
    head = source.pread(0, 8)
    return head[:4] == MAGIC and head[4:] != b"\0\0\0\1"


def open(source: Source, budget: Budget) -> Qcow2Disk:
    """Read the header, and refuse what has its data elsewhere."""
    head = source.pread(0, V2_BYTES)
    header = Qcow2Header(head)
    if header.version not in (2, 3):
        raise Unsupported(f"qcow2 version {header.version} is not read")
    if header.version == 3:
        header = Qcow2Header(source.pread(0, V3_BYTES))
    _check(header)
    if header.header_length > header_fields.COMPRESSION_TYPE:
        header.compression_type = source.pread(header_fields.COMPRESSION_TYPE, 1)[0]
    if header.compression_type > 1:
        raise Unsupported(f"qcow2 compression type {header.compression_type} is not read")
    if (header.compression_type > 0) != bool(header.incompatible_features & header_fields.COMPRESSION):
        raise Broken("the compression type of the qcow2 contradicts its feature bits")
    return Qcow2Disk(source, budget, header)


def _check(header: Qcow2Header) -> None:
    features = header.incompatible_features
    if header.backing_file_offset or header.backing_file_size:
        raise Unsupported("the qcow2 is a difference to another file, its backing file")
    if features & header_fields.DATA_FILE:
        raise Unsupported("the data of the qcow2 are in another file")
    if header.crypt_method:
        raise Unsupported("the qcow2 is encrypted", "guest-encrypted")
    if features & ~header_fields.KNOWN_INCOMPATIBLE:
        raise Unsupported(f"the qcow2 has unknown incompatible features: {features:#x}")
    if features & header_fields.CORRUPT:
        raise Broken("a program marked the qcow2 as damaged")
    if not 9 <= header.cluster_bits <= 21:
        raise Broken(f"a qcow2 cannot have clusters of 2 to the power of {header.cluster_bits} bytes")
    if header.version == 3 and not V3_BYTES <= header.header_length <= header.cluster_size:
        raise Broken(f"a qcow2 cannot have a header of {header.header_length} bytes")
    if features & header_fields.EXTENDED_L2 and header.cluster_bits < 14:
        raise Broken("the subclusters of the qcow2 would be smaller than a sector")
    if header.l1_size * 8 > header_fields.MAX_L1_BYTES:
        raise Broken(f"the L1 table of the qcow2 has {header.l1_size} entries, more than qemu reads")
    needed = -(-header.size // (header.cluster_size // header.l2_entry_bytes * header.cluster_size))
    if needed > header.l1_size:
        raise Broken(f"the disk of the qcow2 needs {needed} entries of the L1 table, which has {header.l1_size}")
    if header.l1_table_offset % header.cluster_size:
        raise Broken("the L1 table of the qcow2 is not at the start of a cluster")


class Qcow2Disk(BlockDisk):
    """The blocks are clusters, or the subclusters of an image that has them."""

    format = "qcow2"

    def __init__(self, source: Source, budget: Budget, header: Qcow2Header) -> None:
        self._cluster = header.cluster_size
        self._parts = _SUBCLUSTERS if header.incompatible_features & header_fields.EXTENDED_L2 else 1
        padded = Padded(source, self._cluster)
        super().__init__(padded, budget, header.size // 512 * 512, self._cluster // self._parts)
        self._file_size = source.size
        self._version, self._zstd = header.version, header.compression_type == 1
        self._l1, self._entry_bytes = header.l1_table_offset, header.l2_entry_bytes
        self._per_table = self._cluster // self._entry_bytes
        self._numbers = Numbers(padded, budget, "Q", "big")
        self._table_number, self._table = -1, 0
        self._kept: tuple[int, bytes] = (-1, b"")
        # "Compressed Clusters Descriptor": bits 0 to x - 1 are the offset, x to 61 a number of further sectors
        self._sectors_at = 62 - (header.cluster_bits - 8)
        self._sectors = (1 << header.cluster_bits - 8) - 1

    def place(self, number: int) -> int:
        """See :class:`BlockDisk`."""
        cluster, part = divmod(number, self._parts)
        at = self._entry_at(cluster)
        if not at:
            return ZERO
        entry = self._numbers.at(at)
        if entry >> COMPRESSED_BIT & 1:
            return PACKED
        if entry & RESERVED:
            raise Broken(f"an L2 entry of the qcow2 has reserved bits set: {entry:#x}")
        offset = entry & OFFSET
        if offset % self._cluster:
            raise Broken(f"a cluster of the qcow2 is at {offset}, not at the start of a cluster")
        if self._parts > 1:
            return self._subcluster(entry, self._numbers.at(at + 8), offset, part)
        if entry & header_fields.ZERO_FLAG:
            if self._version == 2:
                raise Broken("a qcow2 of version 2 cannot have an L2 entry of zeros")
            return ZERO
        return offset or ZERO

    def _subcluster(self, entry: int, bitmap: int, offset: int, part: int) -> int:
        """Bits 0 to 31: the part is in the cluster; bits 32 to 63: it reads as zeros ("Extended L2 Entries")."""
        if entry & header_fields.ZERO_FLAG or bitmap & bitmap >> 32 & 0xFFFF_FFFF:
            raise Broken("an extended L2 entry of the qcow2 contradicts itself")
        if not bitmap >> part & 1:
            return ZERO
        if not offset:
            raise Broken("an extended L2 entry of the qcow2 has data, but no cluster")
        return offset + part * self._block

    def unpack(self, number: int) -> bytes:
        """See :class:`BlockDisk`. Of an image with subclusters, the whole cluster is packed."""
        cluster, part = divmod(number, self._parts)
        if self._kept[0] != cluster:
            self._kept = (cluster, self._unpack_cluster(self._numbers.at(self._entry_at(cluster))))
        return self._kept[1][part * self._block : (part + 1) * self._block]

    def _unpack_cluster(self, entry: int) -> bytes:
        offset = entry & (1 << self._sectors_at) - 1
        length = ((entry >> self._sectors_at & self._sectors) + 1) * 512 - (offset & 511)
        length = min(length, self._file_size - offset)
        if length <= 0:
            raise Broken(f"a packed cluster of the qcow2 is at {offset}, beyond the end of the file")
        packed = self._source.pread(offset, length)
        if self._zstd:
            data = unpack_zstd(packed, self._cluster)
        else:
            data = unpack_zlib(packed, self._cluster, window_bits=_ZLIB_WINDOW)
        if len(data) != self._cluster:
            raise Broken(f"a packed cluster of the qcow2 has {len(data)} bytes instead of {self._cluster}")
        return data

    def next_used(self, number: int) -> int:
        """See :class:`BlockDisk`."""
        cluster, part = divmod(number, self._parts)
        tables = -(-self.size // (self._per_table * self._cluster))
        while (table := cluster // self._per_table) < tables:
            used = (self._numbers.next_used(self._l1 + table * 8, self._l1 + tables * 8) - self._l1) // 8
            if used != table:
                cluster, part = used * self._per_table, 0
                continue
            start = self._entry_at(cluster)
            if start:
                end = start + (self._per_table - cluster % self._per_table) * self._entry_bytes
                skipped = (self._numbers.next_used(start, end) - start) // self._entry_bytes
                if start + skipped * self._entry_bytes < end:
                    return (cluster + skipped) * self._parts + (0 if skipped else part)
            cluster, part = (table + 1) * self._per_table, 0
        return cluster * self._parts

    def _entry_at(self, cluster: int) -> int:
        """The offset of the L2 entry of a cluster; 0 if there is no table."""
        table, index = divmod(cluster, self._per_table)
        if table != self._table_number:
            entry = self._numbers.at(self._l1 + table * 8)
            if entry & header_fields.L1_RESERVED or (entry & OFFSET) % self._cluster:
                raise Broken(f"an L1 entry of the qcow2 is impossible: {entry:#x}")
            self._table_number, self._table = table, entry & OFFSET
        return self._table + index * self._entry_bytes if self._table else 0
