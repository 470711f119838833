"""VMDK: header and footer of a sparse extent, and the markers of a stream ("Virtual Disk Format 5.0", VMware, "Hosted
Sparse Extents" and "Stream-Optimized Compressed Sparse Extents")."""

from struct import Struct, unpack_from

MAGIC = b"KDMV"
AT_END = (1 << 64) - 1
"""The offset of the grain directory if the real offset is in the footer."""

MAX_VERSION = 3
MAX_GRAIN_SECTORS = 0x200000
MAX_TABLE_ENTRIES = 512
MAX_TABLES = 32 << 20
MAX_BYTES = 64 << 40
"""The limit of VMware is 62 TiB, for extents of other kinds; qemu makes sparse extents of more than 2 TiB."""

NEWLINES, REDUNDANT, ZEROED, COMPRESSED, MARKERS = 1, 2, 4, 1 << 16, 1 << 17
INCOMPATIBLE = 0xFFFF0000
"""Flags that a reader must know; the others may be ignored."""

FOOTER_MARKER, END_MARKER = (1, 0, 3), (0, 0, 0)
FOOTER_BYTES = 1536

MARKER = Struct("<QII")
"""A sector of the disk and the length of its grain; or a number of sectors, 0, and the type of what follows."""

GRAIN_DATA_AT = 12
"""Where the packed bytes of a grain begin: behind the length, in place of the type."""


class VmdkHeader:
    """The fields of a header or footer of 512 bytes. Offsets and lengths are in sectors."""

    def __init__(self, data: bytes) -> None:
        self.capacity: int
        self.grain: int
        self.entries: int
        self.directory: int
        self.overhead: int
        self.version, self.flags = unpack_from("<II", data, 4)
        self.capacity, self.grain, self.descriptor, self.descriptor_length = unpack_from("<4Q", data, 12)
        self.entries, self.redundant, self.directory, self.overhead = unpack_from("<I3Q", data, 44)
        self.unclean = data[72]
        self.newlines = data[73:77]
        (self.compression,) = unpack_from("<H", data, 77)

    @property
    def tables(self) -> int:
        """The number of grain tables; raises ZeroDivisionError for an impossible header."""
        return -(-self.capacity // (self.entries * self.grain))

    @property
    def disk_bytes(self) -> int:
        """Bytes of the disk."""
        return self.capacity * 512

    def geometry(self) -> "tuple[int, ...]":
        """The values that a footer must share with its header."""
        return (self.version, self.flags, self.capacity, self.grain, self.entries, self.compression)
