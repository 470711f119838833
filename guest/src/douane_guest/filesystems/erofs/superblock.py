"""The superblock."""

from __future__ import annotations

import struct
from typing import NamedTuple

from douane_guest.errors import Broken, Unsupported
from douane_guest.source import Source
from douane_guest.uuids import uuid_text

PLACE = 1024
SUPERBLOCK = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQ24x")
MAGIC = 0xE0F5_E1E2
ZERO_PADDED, FRAGMENTS = 0x1, 0x20
KNOWN_FEATURES = 0x7F
PREFIXES_ARE_PLAIN = 0x10
BLOCK_LOGS = range(9, 17)
SLOT = 16


class Superblock(NamedTuple):
    magic: int
    checksum: int
    compatible: int
    block_log: int
    slots: int
    root: int
    inodes: int
    epoch: int
    nanoseconds: int
    blocks: int
    inode_block: int
    xattr_block: int
    uuid: bytes
    label: bytes
    features: int
    algorithms: int
    devices: int
    device_slot: int
    folder_block_log: int
    prefixes: int
    prefix_start: int
    packed: int


def read_superblock(source: Source) -> Superblock:
    """Raises Broken and Unsupported."""
    block = Superblock._make(SUPERBLOCK.unpack(source.pread(PLACE, SUPERBLOCK.size)))
    if block.features & ~KNOWN_FEATURES:
        raise Unsupported(f"the erofs has the features {block.features & ~KNOWN_FEATURES:#x}, which are not read")
    if block.block_log not in BLOCK_LOGS or block.folder_block_log:
        raise Broken(f"the erofs has blocks of 2^{block.block_log} bytes, folders of 2^{block.folder_block_log} blocks")
    if block.blocks << block.block_log > source.size and not block.devices:
        raise Broken(f"the erofs says that it has {block.blocks} blocks, and there are {source.size} bytes")
    return block


def uuid_of(block: Superblock) -> str:
    """As blkid shows it; empty if there is none."""
    return uuid_text(block.uuid) if any(block.uuid) else ""
