"""Header and entries of a GUID partition table (UEFI 2.10, 5.3.2 and 5.3.3)."""

from binascii import crc32

from .numbers import u32, u64

MAX_TABLE_BYTES = 1 << 19
"""The size of 4096 entries. Every tool writes 128, which are 16 KiB."""

SIGNATURE = b"EFI PART"
SECTORS = (512, 4096)
"""Sector sizes of disks; the header is in the second sector."""

KINDS = {
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system",
    "21686148-6449-6e6f-744e-656564454649": "BIOS boot",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux file system",
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "Linux root (x86-64)",
    "b921b045-1df0-41c3-af44-4c6f280d3fae": "Linux root (ARM64)",
    "bc13c2ff-59e6-4262-a352-b275fd6f7172": "Linux extended boot",
    "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "Linux swap",
    "e6d6d379-f507-44c2-a23c-238f2a3df928": "Linux LVM",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "basic data",
    "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved",
    "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery",
}
"""Names of the most common types; other types are shown as their GUID."""


def guid(data: bytes) -> str:
    """The text of the GUID in 16 bytes; its first three parts are little-endian (UEFI 2.10, appendix A)."""
    parts = (data[3::-1], data[5:3:-1], data[7:5:-1], data[8:10], data[10:16])
    return "-".join(part.hex() for part in parts)


class GptHeader:
    """A header: `sector` are its bytes, `at` is its offset, `size` that of a sector in bytes; places are in sectors."""

    def __init__(self, sector: bytes, at: int, size: int) -> None:
        self.sector, self.at, self.size = sector, at, size
        self.length = u32(sector, 12)
        self.own_sector, self.copy_sector = u64(sector, 24), u64(sector, 32)
        self.first, self.last = u64(sector, 40), u64(sector, 48)
        self.guid = guid(sector[56:72])
        self.table = u64(sector, 72)
        self.count, self.entry_size, self.checksum = u32(sector, 80), u32(sector, 84), u32(sector, 88)
        self.table_size = self.count * self.entry_size

    @property
    def intact(self) -> bool:
        """True if the checksum is right."""
        if not 92 <= self.length <= len(self.sector):
            return False
        data = self.sector[: self.length]
        return crc32(data[:16] + bytes(4) + data[20:]) == u32(data, 16)


class GptPartition:
    """An entry in use: `first` and `last` sector; `kind` (a name, if there is one), `type_guid`, `guid` and `label` as
    text; `at` is the entry's offset in bytes."""

    __slots__ = ("at", "first", "guid", "kind", "label", "last", "name", "type_guid")

    def __init__(self, number: int, entry: bytes, at: int) -> None:
        self.name = f"partition {number}"
        self.type_guid, self.guid = guid(entry[:16]), guid(entry[16:32])
        self.kind = KINDS.get(self.type_guid, self.type_guid)
        self.first, self.last = u64(entry, 32), u64(entry, 40)
        self.label = entry[56:128].decode("utf-16-le", "replace").split("\0", 1)[0]
        self.at = at
