"""The header of a VDI, the format of VirtualBox (VDICore.h; qemu, block/vdi.c). All numbers are little-endian."""

from struct import unpack_from

SIGNATURE = 0xBEDA107F
VERSION = 0x00010001
DYNAMIC, STATIC = 1, 2
TYPES = {DYNAMIC: "dynamic", STATIC: "static", 3: "undo", 4: "differencing"}
ZERO = 0xFFFFFFFE
"""The entry of a discarded block; the next number is the entry of a block that was never allocated."""

MAX_BLOCKS = 536870784
"""The limit of qemu: a block map of 2 GiB less a sector (block/vdi.c: VDI_BLOCKS_IN_IMAGE_MAX)."""

NO_ID = bytes(16)
IDS = {"image": 392, "last snapshot": 408, "link": 424, "parent": 440}
"""Offsets of identities, each of 16 bytes."""


def begins(head: bytes) -> bool:
    """True if an image that begins with `head` is a VDI: the rule of qemu (vdi_probe)."""
    return head[64:68] == SIGNATURE.to_bytes(4, "little") and len(head) >= 512


class VdiHeader:
    """The fields of a header of 512 bytes. Sizes and offsets are in bytes; `map` is the block map, `extra` are bytes in
    front of each block."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.version: int
        self.length: int
        self.kind: int
        self.flags: int
        self.version, self.length, self.kind, self.flags = unpack_from("<IIII", data, 68)
        self.map: int
        self.blocks_at: int
        self.map, self.blocks_at = unpack_from("<II", data, 340)
        self.sector: int
        self.size: int
        self.block: int
        self.extra: int
        self.blocks: int
        self.allocated: int
        self.sector, _, self.size, self.block, self.extra, self.blocks, self.allocated = unpack_from(
            "<IIQIIII", data, 360
        )

    def identity(self, what: str) -> bytes:
        """An identity, by its name in :data:`IDS`."""
        return self.data[IDS[what] : IDS[what] + 16]

    @property
    def virtual_size(self) -> int:
        """Bytes of the disk, as qemu rounds it (vdi_open)."""
        return -(-self.size // 512) * 512
