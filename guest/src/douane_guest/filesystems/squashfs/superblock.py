"""The superblock, and the compression that it names."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from douane_guest import lzo
from douane_guest.compression import inflate, unlz4, unxz, unzstd
from douane_guest.errors import Broken, Unsupported
from douane_guest.source import Source

MAGIC = b"hsqs"
BIG_ENDIAN_MAGIC = b"sqsh"
SUPERBLOCK = struct.Struct("<4sIIIIHHHHHHQQQQQQQQ")
NO_TABLE = 0xFFFF_FFFF_FFFF_FFFF
LARGEST_BLOCK = 1 << 20

Decompress = Callable[[bytes, int], bytes]


def lzma_is_old(_data: bytes, _limit: int) -> bytes:
    raise Unsupported("the squashfs is compressed with lzma, which Linux never read")


DECOMPRESS: dict[int, Decompress] = {1: inflate, 2: lzma_is_old, 3: lzo.decompress, 4: unxz, 5: unlz4, 6: unzstd}
"""By the number in the superblock."""


class Superblock(NamedTuple):
    magic: bytes
    inodes: int
    build_time: int
    block_size: int
    fragments: int
    compression: int
    block_log: int
    flags: int
    ids: int
    major: int
    minor: int
    root: int
    used: int
    id_table: int
    xattr_table: int
    inode_table: int
    folder_table: int
    fragment_table: int
    export_table: int


def read_superblock(source: Source) -> Superblock:
    """Raises Broken and Unsupported."""
    block = Superblock._make(SUPERBLOCK.unpack(source.pread(0, SUPERBLOCK.size)))
    if block.magic == BIG_ENDIAN_MAGIC or (block.major, block.minor) != (4, 0):
        raise Unsupported("it is a squashfs older than version 4.0")
    if block.compression not in DECOMPRESS:
        raise Unsupported(f"the squashfs has compression {block.compression}, which is not known")
    if not 12 <= block.block_log <= 20 or block.block_size != 1 << block.block_log:
        raise Broken(f"the squashfs has blocks of {block.block_size} bytes and says 2^{block.block_log}")
    if block.used > source.size:
        raise Broken(f"the squashfs says that it has {block.used} bytes, and there are {source.size}")
    if not SUPERBLOCK.size <= block.inode_table < block.folder_table <= block.used or block.ids == 0:
        raise Broken("the tables of the squashfs are not in their order")
    return block
