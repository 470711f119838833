"""VHDX: headers, region tables and metadata ([MS-VHDX], 2.2 and 2.6). All numbers are little-endian."""

from struct import unpack_from

from .crc32c import fits

MIB = 1 << 20
SIGNATURE = b"vhdxfile"
HEADERS = (64 << 10, 128 << 10)
HEADER_BYTES = 4096
REGION_TABLES = (192 << 10, 256 << 10)
REGION_TABLE_BYTES = 64 << 10
MAX_REGIONS = MAX_ITEMS = 2047
REQUIRED_REGION, REQUIRED_ITEM = 1, 4
NO_LOG = bytes(16)
MAX_DISK = 64 << 40
CHUNK_SECTORS = 1 << 23
"""Sectors between two sector bitmaps in the block allocation table (2.5)."""

BAT = bytes.fromhex("6677c22d23f600429d64115e9bfd4a08")
METADATA = bytes.fromhex("06a27c8b90479a4bb8fe575f050f886e")
METADATA_TABLE_BYTES = 64 << 10

PARAMETERS, SIZE, LOGICAL, PHYSICAL, PAGE83, PARENT = (
    bytes.fromhex(identity)
    for identity in (
        "3767a1ca36fa434db3b633f0aa44e76b",
        "2442a52f1bcd7648b2115dbed83bf4b8",
        "1dbf41816fa90947ba47f233a8faab5f",
        "c748a3cd5d4471449cc9e9885251c556",
        "ab12cabee6b2234593efc309e000c746",
        "2d5fd3a80bb34d45abf7d3d84834ab0c",
    )
)
ITEMS = {
    PARAMETERS: ("file parameters", 8),
    SIZE: ("virtual disk size", 8),
    LOGICAL: ("logical sector size", 4),
    PHYSICAL: ("physical sector size", 4),
    PAGE83: ("page 83 data", 16),
    PARENT: ("parent locator", 0),
}
"""Name and least length of the items of the metadata."""

ALLOCATED, HAS_PARENT = 1, 2
"""Flags of the file parameters: leave the blocks allocated, and the disk is a difference."""

FULLY_PRESENT, PARTIALLY_PRESENT = 6, 7
"""States of a block that is in the file (2.5.1.1)."""


class VhdxHeader:
    """The fields of a header of 4096 bytes (2.2.2)."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sequence: int
        (self.sequence,) = unpack_from("<Q", data, 8)
        self.log = data[48:64]
        self.log_version: int
        self.version: int
        self.log_length: int
        self.log_at: int
        self.log_version, self.version, self.log_length, self.log_at = unpack_from("<HHIQ", data, 64)

    @property
    def is_intact(self) -> bool:
        """True if signature and checksum are right."""
        return self.data[:4] == b"head" and fits(self.data, 4)


def is_region_table(data: bytes) -> bool:
    """True if the signature and the checksum of a region table are right."""
    return data[:4] == b"regi" and fits(data, 4)


def read_regions(table: bytes) -> "list[tuple[bytes, int, int, int]]":
    """Identity, offset, length and flags of each region in a table with at most :data:`MAX_REGIONS` (2.2.3)."""
    (count,) = unpack_from("<I", table, 8)
    return [(table[at : at + 16], *unpack_from("<QII", table, at + 16)) for at in range(16, 16 + count * 32, 32)]


def read_items(table: bytes) -> "list[tuple[bytes, int, int, int]]":
    """Identity, offset, length and flags of each item in a metadata table with at most :data:`MAX_ITEMS` (2.6.1)."""
    (count,) = unpack_from("<H", table, 10)
    return [(table[at : at + 16], *unpack_from("<III", table, at + 16)) for at in range(32, 32 + count * 32, 32)]
