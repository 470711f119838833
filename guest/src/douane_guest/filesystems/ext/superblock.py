"""The superblock of ext2, ext3 and ext4: 1,024 bytes at 1,024, little-endian."""

from __future__ import annotations

import struct
from typing import NamedTuple

from douane_guest.errors import Broken, Unsupported
from douane_guest.headers.crc32c import crc32c_raw
from douane_guest.uuids import uuid_text

PLACE = 1024
SIZE = 1024
UTF8_12_1 = 1
"""The only encoding of names without case that the kernel knows."""

STRICT_NAMES = 1
"""Of the flags of the encoding: a name that is not UTF-8 is not found at all."""
MAGIC = 0xEF53
VALID, ERRORS = 1, 2
"""Bits of the state: unmounted, and the kernel saw errors."""
HURD = 1

# Features without which a file system cannot be read right ("incompat").
FILETYPE, RECOVER, JOURNAL_DEVICE, META_BG, EXTENTS, BIT64 = 0x2, 0x4, 0x8, 0x10, 0x40, 0x80
MMP, FLEX_BG, EA_INODE, CSUM_SEED, LARGE_DIR = 0x100, 0x200, 0x400, 0x2000, 0x4000
INLINE_DATA, ENCRYPT, CASEFOLD = 0x8000, 0x10000, 0x20000
READ = (
    *(FILETYPE, RECOVER, META_BG, EXTENTS, BIT64, MMP, FLEX_BG, EA_INODE),
    *(CSUM_SEED, LARGE_DIR, INLINE_DATA, ENCRYPT, CASEFOLD),
)

# Features that only a writer must know ("ro_compat").
SPARSE_SUPER, HUGE_FILE, BIGALLOC, METADATA_CSUM = 0x1, 0x8, 0x200, 0x400
WRITER = 0x1_F77F
"""All that Linux 6 and mke2fs 1.47 know, without snapshots and replicas, which no kernel of today reads."""

# Features that may be ignored ("compat").
HAS_JOURNAL, SPARSE_SUPER2 = 0x4, 0x200

FIELDS = struct.Struct("<13I6H4I2HI2H3I16s16s")
"""From the number of inodes on, to the label."""
LARGEST_BLOCK, LARGEST_CLUSTER = 6, 20
"""As powers of 2 above 1,024 bytes: 64 KiB, and 1 GiB."""


class Superblock(NamedTuple):
    """What the readers of this package need of it."""

    inodes: int
    blocks: int
    first_block: int
    block_size: int
    cluster_size: int
    """Bytes that are allocated at once: a block, or with bigalloc more."""

    group_blocks: int
    group_inodes: int
    inode_size: int
    first_inode: int
    descriptor_size: int
    state: int
    hurd: bool
    compat: int
    incompat: int
    ro_compat: int
    uuid: bytes
    label: str
    journal_inode: int
    journal_device: int
    first_meta_bg: int
    backup_groups: tuple[int, int]
    reserved_inodes: frozenset[int]
    """Inodes behind the first ordinary one that hold quotas and orphans, and which no folder may name."""

    strict_names: bool
    """Names in folders that ignore case must be UTF-8."""

    @property
    def groups(self) -> int:
        """How many block groups there are."""
        return -(-(self.blocks - self.first_block) // self.group_blocks)

    @property
    def uuid_text(self) -> str:
        """As blkid shows it."""
        return uuid_text(self.uuid)

    @property
    def kind(self) -> str:
        """ext2, ext3 or ext4, as blkid tells them apart: by the features that older kernels do not know."""
        old_incompat = FILETYPE | RECOVER | META_BG
        if self.incompat & ~old_incompat or self.ro_compat & ~0x7:
            return "ext4"
        return "ext3" if self.compat & HAS_JOURNAL else "ext2"

    def same_shape(self, second: Superblock) -> bool:
        """True if both place blocks and inodes alike."""
        return self[2:10] == second[2:10]


def parse(data: bytes, disk_size: int) -> Superblock:
    """Read and check it. Raises Broken, and Unsupported for features that are not read."""
    fields = FIELDS.unpack_from(data)
    inodes, blocks, first_block, block_log = fields[0], fields[1], fields[5], fields[6]
    magic, state = fields[15], fields[16]
    if magic != MAGIC:
        raise Broken("the superblock of ext has no magic number")
    revision, creator, first_inode, inode_size = fields[22], fields[21], fields[25], fields[26]
    compat, incompat, ro_compat = fields[28:31]
    if revision == 0:
        first_inode, inode_size, compat, incompat, ro_compat = 11, 128, 0, 0, 0
    check_features(incompat, ro_compat)
    encoding = int.from_bytes(data[0x27C:0x27E], "little")
    if incompat & CASEFOLD and encoding != UTF8_12_1:
        raise Unsupported(f"the ext file system ignores case by the encoding {encoding}, which is unknown")
    if ro_compat & METADATA_CSUM and crc32c_raw(data[:0x3FC]) != number(data, 0x3FC):
        raise Broken("the checksum of the superblock of ext4 is wrong")
    descriptor_size = 32
    if incompat & BIT64:
        blocks |= number(data, 0x150) << 32
        descriptor_size = int.from_bytes(data[0xFE:0x100], "little")
    if block_log > LARGEST_BLOCK or (ro_compat & BIGALLOC and not block_log <= fields[7] <= LARGEST_CLUSTER):
        raise Broken(f"the superblock of ext has blocks of 2^(10 + {block_log}) bytes, or such clusters")
    block = Superblock(
        inodes=inodes,
        blocks=blocks,
        first_block=first_block,
        block_size=1024 << block_log,
        cluster_size=1024 << (fields[7] if ro_compat & BIGALLOC else block_log),
        group_blocks=fields[8],
        group_inodes=fields[10],
        inode_size=inode_size,
        first_inode=first_inode,
        descriptor_size=descriptor_size,
        state=state,
        hurd=creator == HURD,
        compat=compat,
        incompat=incompat,
        ro_compat=ro_compat,
        uuid=fields[31],
        label=fields[32].split(b"\0")[0].decode(errors="surrogateescape"),
        journal_inode=number(data, 0xE0),
        journal_device=number(data, 0xE4),
        first_meta_bg=number(data, 0x104),
        backup_groups=(number(data, 0x24C), number(data, 0x250)),
        reserved_inodes=frozenset(number(data, place) for place in (0x240, 0x244, 0x26C, 0x280)),
        strict_names=bool(data[0x27E] & STRICT_NAMES),
    )
    check_shape(block, disk_size)
    return block


def number(data: bytes, place: int) -> int:
    """Four bytes, little-endian."""
    return int.from_bytes(data[place : place + 4], "little")


def check_features(incompat: int, ro_compat: int) -> None:
    """Raises Unsupported for what this package does not read."""
    if incompat & JOURNAL_DEVICE:
        raise Unsupported("the device holds the journal of an ext file system that is elsewhere")
    unknown = incompat & ~sum(READ)
    if unknown:
        raise Unsupported(f"the ext file system has the features {unknown:#x} (incompat), which are not read")
    if ro_compat & ~WRITER:
        raise Unsupported(f"the ext file system has the features {ro_compat & ~WRITER:#x} (ro_compat)")


def check_shape(block: Superblock, disk_size: int) -> None:
    """Raises Broken for numbers that contradict each other or the disk."""
    size = block.block_size
    facts = (
        (block.blocks > 0 and block.blocks * size <= disk_size, "it is larger than the disk, or empty"),
        (block.first_block in ((0, 1) if size == 1024 else (0,)), "its first block is not 0 or 1"),
        (block.first_block < block.blocks, "it ends before its first block"),
        (block.inode_size & (block.inode_size - 1) == 0, "the size of an inode is not a power of 2"),
        (128 <= block.inode_size <= size, "an inode is smaller than 128 bytes or larger than a block"),
        (block.descriptor_size & (block.descriptor_size - 1) == 0, "the size of a descriptor is not a power of 2"),
        (32 <= block.descriptor_size <= size, "a group descriptor is smaller than 32 bytes or larger than a block"),
        (not block.incompat & BIT64 or block.descriptor_size >= 64, "a descriptor is too small for 64 bits"),
        # A bitmap of one block has a bit for each cluster, and a cluster may have many blocks (bigalloc).
        (0 < block.group_blocks <= size * 8 << 20, "a group has no blocks, or too many"),
        (0 < block.group_inodes <= size * 8, "a group has no inodes, or more than its bitmap has bits"),
        (block.first_inode >= 11, "its first ordinary inode is below 11"),
    )
    for holds, why in facts:
        if not holds:
            raise Broken(f"the superblock of ext contradicts itself: {why}")
    if block.inodes < 11 or block.inodes > block.groups * block.group_inodes:
        raise Broken("the superblock of ext contradicts itself: its groups do not hold its inodes")
