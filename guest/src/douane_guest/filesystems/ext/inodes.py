"""Inodes: where they are, and what stat(2) shows of them."""

from __future__ import annotations

import struct
from math import gcd

from douane_guest.errors import Broken
from douane_guest.filesystems.base import BLOCK, CHAR, FILE, FOLDER, KINDS, Node, make_node

from .blocks import Blocks
from .superblock import (
    BIT64,
    HUGE_FILE,
    LARGE_DIR,
    META_BG,
    SPARSE_SUPER,
    SPARSE_SUPER2,
    Superblock,
)

ROOT = 2
ENCRYPTED, EXTENTS, EA_INODE, INLINE, FOLDED = 0x800, 0x80000, 0x200000, 0x10000000, 0x40000000
HUGE = 0x40000
"""Flags of an inode. HUGE: its blocks are counted in blocks, not in sectors."""

HEAD = struct.Struct("<HHI8xi4xHHII")
"""Mode, low user, low size, mtime, low group, links, sectors, flags: bytes 0 to 36."""
TAIL = struct.Struct("<I4xHHHH")
"""High size at 108, then high sectors, high attribute block, high user, high group at 116."""
MTIME_EXTRA = 0x88
CHUNK = 1 << 15
"""Bytes of an inode table that are read at once, at most; an inode may be as large as a block of 64 KiB."""
MAX_CHUNKS = 64


class Inodes:
    """The inode tables. Chunks of them are kept, as a folder's inodes are mostly beside each other."""

    def __init__(self, block: Superblock, blocks: Blocks) -> None:
        self._block = block
        self._blocks = blocks
        self._size = block.inode_size
        self._chunk_inodes = gcd(block.group_inodes, max(CHUNK // block.inode_size, 1))
        self._chunks: dict[int, bytes] = {}
        self.changed: dict[int, bytes] = {}
        """Inodes that fast commits have written."""

        self._large_folders = bool(block.incompat & LARGE_DIR)

    def raw(self, number: int) -> bytes:
        """The bytes of an inode."""
        if not 0 < number <= self._block.inodes:
            raise Broken(f"there is no inode {number}")
        if number in self.changed:
            return self.changed[number]
        index, inner = divmod(number - 1, self._chunk_inodes)
        chunk = self._chunks.get(index)
        if chunk is None:
            chunk = self._read_chunk(index)
        start = inner * self._size
        return chunk[start : start + self._size]

    def _read_chunk(self, index: int) -> bytes:
        group, inner = divmod(index * self._chunk_inodes, self._block.group_inodes)
        size = self._block.block_size
        start = self._table(group) * size + inner * self._size
        count = self._chunk_inodes * self._size
        self._blocks.check(start // size, -(-(start % size + count) // size))
        chunk = self._blocks.source.pread(start, count)
        if len(self._chunks) >= MAX_CHUNKS:
            del self._chunks[next(iter(self._chunks))]
        self._chunks[index] = chunk
        return chunk

    def _table(self, group: int) -> int:
        """The first block of the inode table of a group."""
        block = self._block
        block_groups = block.block_size // block.descriptor_size
        data = self._blocks.read(self._descriptors(group // block_groups))
        start = group % block_groups * block.descriptor_size
        low = int.from_bytes(data[start + 8 : start + 12], "little")
        if block.incompat & BIT64:
            low |= int.from_bytes(data[start + 0x28 : start + 0x2C], "little") << 32
        return low

    def _descriptors(self, number: int) -> int:
        """The block that has the descriptors of the groups `number * each` to `(number + 1) * each - 1`."""
        block = self._block
        # The superblock is in block 1 if blocks have 1,024 bytes, even where bigalloc counts them from 0.
        superblock = 1 if block.block_size == 1024 else 0
        if not block.incompat & META_BG or number < block.first_meta_bg:
            return superblock + 1 + number
        group = number * (block.block_size // block.descriptor_size)
        place = group * block.group_blocks + block.first_block + has_superblock(block, group)
        return place + (block.block_size == 1024 and not number and not block.first_block)

    def node(self, number: int) -> Node:
        """What stat(2) shows. Raises Broken for an inode that no folder may name."""
        if number < self._block.first_inode and number != ROOT:
            raise Broken(f"a folder names the inode {number}, which the file system keeps for itself")
        raw = self.raw(number)
        mode, user, size, mtime, group, links, _, flags = HEAD.unpack_from(raw)
        high_size, _, _, high_user, high_group = TAIL.unpack_from(raw, 108)
        kind = KINDS.get(mode & 0xF000)
        if kind is None or not links or flags & EA_INODE or number in self._block.reserved_inodes:
            raise Broken(f"a folder names the inode {number}, which is deleted, or not one of a file")
        if high_size and (kind == FILE or (kind == FOLDER and self._large_folders)):
            size |= high_size << 32
        mtime_ns = mtime * 1_000_000_000
        if len(raw) > 128 and raw[128] | raw[129] << 8 >= MTIME_EXTRA + 4 - 128:
            extra = int.from_bytes(raw[MTIME_EXTRA : MTIME_EXTRA + 4], "little")
            # The two lowest bits are above the 32 of the seconds, the others are nanoseconds.
            mtime_ns += ((extra & 3) << 32) * 1_000_000_000 + (extra >> 2)
        device = device_of(raw) if kind in (CHAR, BLOCK) else None
        owners = user | high_user << 16, group | high_group << 16
        return make_node((number, kind, mode & 0o7777, *owners, size, mtime_ns, links, device, raw))

    def sectors(self, raw: bytes) -> int:
        """The 512 byte sectors, or blocks, that an inode counts."""
        low, high = int.from_bytes(raw[28:32], "little"), int.from_bytes(raw[116:118], "little")
        if not self._block.ro_compat & HUGE_FILE:
            return low
        count = low | high << 32
        return count * (self._block.block_size // 512) if flags_of(raw) & HUGE else count


def has_superblock(block: Superblock, group: int) -> bool:
    """True if a group begins with a copy of the superblock."""
    if not group:
        return True
    if block.compat & SPARSE_SUPER2:
        return group in block.backup_groups
    if group == 1 or not block.ro_compat & SPARSE_SUPER:
        return True
    for base in (3, 5, 7):
        power = base
        while power < group:
            power *= base
        if power == group:
            return True
    return False


def flags_of(raw: bytes) -> int:
    """The flags of an inode."""
    return int.from_bytes(raw[32:36], "little")


def attribute_block(raw: bytes, hurd: bool) -> int:
    """The block of extended attributes, 0 if there is none. GNU Hurd has another field at its high bits."""
    low = int.from_bytes(raw[104:108], "little")
    return low if hurd else low | int.from_bytes(raw[118:120], "little") << 32


def device_of(raw: bytes) -> tuple[int, int]:
    """Major and minor number: 8 bits each, or in the second word 12 and 20."""
    small, large = struct.unpack_from("<II", raw, 40)
    if small:
        return small >> 8 & 0xFF, small & 0xFF
    return large >> 8 & 0xFFF, large & 0xFF | large >> 12 & 0xFFF00
