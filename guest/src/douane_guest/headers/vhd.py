"""VHD: the footer, with a copy at the start of images of all types but fixed, and the header of a dynamic disk.

"Virtual Hard Disk Image Format Specification 1.0", Microsoft, "Hard Disk Footer Format", "Dynamic Disk Header Format".
"""

from struct import unpack_from

COOKIE = b"conectix"
BYTES = 512
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
TYPES = {FIXED: "fixed", DYNAMIC: "dynamic", DIFFERENCING: "differencing"}

MAX_BYTES = 2040 << 30
"""The limit of qemu (block/vpc.c: VHD_MAX_SECTORS) and Microsoft."""

_MAX_GEOMETRY = 65535 * 16 * 255
_BY_GEOMETRY = (b"vpc ", b"qemu")
"""Creators whose guests see the geometry: Virtual PC, and qemu before 2.0, which rounded the size up to it. Everybody
else's see the current size: Hyper-V, Azure (``wa``), VirtualBox (``vbox``), Virtual Server (``vs``), 86Box (``86Bx``).
qemu reads them so since 10.0 (block/vpc.c: vpc_ignore_current_size)."""

_BY_SIZE_BEFORE = (b"win ", b"qem2", b"d2v ", b"CTXS")
"""Creators (and ``tap``) for which qemu up to 9.2 took the current size. For all others it took the geometry, which
cannot express every size: the end of the disk was missing."""

VERSION = 0x00010000


class Footer:
    """The fields of a footer of 512 bytes, or of 511 bytes in the oldest images."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.version: int
        self.next: int
        self.size: int
        self.cylinders: int
        self.heads: int
        self.sectors: int
        self.type: int
        self.checksum: int
        self.version, self.next = unpack_from(">IQ", data, 12)
        self.creator = data[28:32]
        self.size, self.cylinders, self.heads, self.sectors = unpack_from(">QHBB", data, 48)
        self.type, self.checksum = unpack_from(">II", data, 60)
        self.saved = data[84]

    @property
    def is_intact(self) -> bool:
        """True if the checksum is right: the complement of the sum of all other bytes."""
        return checksum(self.data, 64) == self.checksum

    @property
    def geometry_size(self) -> int:
        """Bytes of the disk by the geometry."""
        return self.cylinders * self.heads * self.sectors * 512

    @property
    def cylinder_bytes(self) -> int:
        """Bytes of a cylinder of the geometry, to which sizes are rounded."""
        return self.heads * self.sectors * 512

    @property
    def virtual_size(self) -> int:
        """Bytes of a dynamic disk that its guest sees."""
        return self._size(self.creator not in _BY_GEOMETRY)

    @property
    def earlier_size(self) -> int:
        """Bytes of the disk to qemu up to 9.2 (block/vpc.c: vpc_open)."""
        return self._size(self.creator in _BY_SIZE_BEFORE or self.creator[:3] == b"tap")

    def _size(self, by_size: bool, /) -> int:
        if by_size or self.geometry_size == _MAX_GEOMETRY * 512:
            return self.size // 512 * 512
        return self.geometry_size

    def meaning(self) -> "tuple[object, ...]":
        """The values that two copies must share."""
        return (self.version, self.next, self.creator, self.size, self.geometry_size, self.type)


def checksum(data: bytes, at: int) -> int:
    """The checksum of a footer or header that has its checksum in the four bytes at `at`."""
    return ~(sum(data) - sum(data[at : at + 4])) & 0xFFFFFFFF


class DynamicHeader:
    """The fields of the 1024 bytes to which the footer of a dynamic disk points: the block allocation table is `table`,
    with `entries`; `block` is in bytes."""

    BYTES = 1024

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.table: int
        self.version: int
        self.entries: int
        self.block: int
        self.checksum: int
        self.table, self.version, self.entries, self.block, self.checksum = unpack_from(">QIIII", data, 16)

    @property
    def is_intact(self) -> bool:
        """True if the checksum is right."""
        return checksum(self.data, 36) == self.checksum

    @property
    def bitmap_bytes(self) -> int:
        """Bytes in front of a block: a bit for each sector, up to a whole sector."""
        return self.block // 4096 + 511 & ~511 or 512
