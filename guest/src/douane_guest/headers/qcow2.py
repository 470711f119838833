"""The header of a qcow2 image, and the bits of its L1 and L2 entries.

Format: qemu, docs/interop/qcow2.txt.
"""

import struct

MAGIC = b"QFI\xfb"
SECTOR = 512
MAX_L1_BYTES = 32 << 20
MAX_REFCOUNT_TABLE_BYTES = 8 << 20
MAX_SNAPSHOTS = 1 << 16
MAX_BACKING_NAME = 1023
SNAPSHOT_HEADER_BYTES = 40

V2_BYTES, V3_BYTES = 72, 104
V2_FIELDS = (
    *(("version", 4), ("backing_file_offset", 8), ("backing_file_size", 16), ("cluster_bits", 20), ("size", 24)),
    *(("crypt_method", 32), ("l1_size", 36), ("l1_table_offset", 40), ("refcount_table_offset", 48)),
    *(("refcount_table_clusters", 56), ("nb_snapshots", 60), ("snapshots_offset", 64)),
)
V3_FIELDS = (
    *(("incompatible_features", 72), ("compatible_features", 80), ("autoclear_features", 88)),
    *(("refcount_order", 96), ("header_length", 100)),
)
COMPRESSION_TYPE = 104

DIRTY, CORRUPT, DATA_FILE, COMPRESSION, EXTENDED_L2 = (1 << bit for bit in range(5))
KNOWN_INCOMPATIBLE = DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED_L2
RAW_DATA_FILE = 1 << 1
"""A bit of the autoclear features."""

AES, LUKS = 1, 2


class Qcow2Header:
    """The fields by their names in the specification. Sizes and offsets are in bytes, except `l1_size` (entries) and
    `refcount_table_clusters`."""

    def __init__(self, data: bytes) -> None:
        """`data` has the first :data:`V2_BYTES` of an image, or :data:`V3_BYTES` for the fields of version 3."""
        self.version = self.backing_file_offset = self.backing_file_size = self.cluster_bits = self.size = 0
        self.crypt_method = self.l1_size = self.l1_table_offset = self.refcount_table_offset = 0
        self.refcount_table_clusters = self.nb_snapshots = self.snapshots_offset = 0
        self.incompatible_features = self.compatible_features = self.autoclear_features = 0
        self.refcount_order = 4
        self.header_length = V2_BYTES
        self.compression_type = 0
        self._set(V2_FIELDS, struct.unpack(">IQIIQIIQQIIQ", data[4:V2_BYTES]))
        if self.version == 3 and len(data) >= V3_BYTES:
            self._set(V3_FIELDS, struct.unpack(">QQQII", data[V2_BYTES:V3_BYTES]))

    def _set(self, fields: "tuple[tuple[str, int], ...]", values: "tuple[int, ...]") -> None:
        for (name, _), value in zip(fields, values, strict=True):
            setattr(self, name, value)

    @property
    def cluster_size(self) -> int:
        """Bytes in a cluster."""
        return 1 << self.cluster_bits

    @property
    def l2_entry_bytes(self) -> int:
        """Bytes in an L2 entry: 8, or 16 with subclusters."""
        return 16 if self.incompatible_features & EXTENDED_L2 else 8

    @property
    def refcount_table_bytes(self) -> int:
        """Bytes in the refcount table."""
        return self.refcount_table_clusters << self.cluster_bits

    @property
    def extensions_end(self) -> int:
        """The limit of the header extensions: the name of the backing file, or the end of the first cluster."""
        return self.backing_file_offset or self.cluster_size


OFFSET = 0x00FF_FFFF_FFFF_FE00
"""The bits of an L1 or L2 entry that are an offset: L1E_OFFSET_MASK, L2E_OFFSET_MASK in block/qcow2.h."""

ZERO_FLAG = 1
"""Of an L2 entry: QCOW_OFLAG_ZERO in block/qcow2.h. The cluster reads as zeros, whatever its offset."""

COMPRESSED_BIT = 62
RESERVED = 0x3F00_0000_0000_01FE
"""L2E_STD_RESERVED_MASK in block/qcow2.h."""

L1_RESERVED = 0x7F00_0000_0000_01FF
"""L1E_RESERVED_MASK in block/qcow2.h."""
