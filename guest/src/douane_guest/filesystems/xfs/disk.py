"""Where blocks and inodes lie, and the reading of them."""

from __future__ import annotations

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.source import Source

from .superblock import Superblock

_CLUSTER = 32 << 10
_CLUSTERS = 64
"""Inodes are read 32 KiB at a time, and 64 such pieces are kept: 2 MiB."""


class Disk:
    """The data section of a file system, addressed by its block and inode numbers."""

    def __init__(self, source: Source, superblock: Superblock, budget: Budget) -> None:
        self.source = source
        self.superblock = superblock
        self.budget = budget
        self._clusters: dict[int, bytes] = {}
        self._cluster_log = (_CLUSTER // superblock.inode_size).bit_length() - 1
        self._cluster_mask = (1 << self._cluster_log) - 1
        self._inode_size = superblock.inode_size
        self._group_log = superblock.group_blocks_log
        self._group_mask = (1 << superblock.group_blocks_log) - 1
        self._group_blocks = superblock.group_blocks
        self._groups = superblock.groups
        self._last_blocks = superblock.blocks - (superblock.groups - 1) * superblock.group_blocks
        self._block_log = superblock.block_log

    def place(self, block: int, count: int) -> int:
        """The byte at which `count` blocks begin. Raises Broken unless they lie in one allocation group."""
        group, within = block >> self._group_log, block & self._group_mask
        if group >= self._groups - 1:
            limit = self._last_blocks if group == self._groups - 1 else 0
        else:
            limit = self._group_blocks
        if within + count > limit:
            raise Broken(f"{count} blocks at {block:#x} lie outside of their allocation group")
        return (group * self._group_blocks + within) << self._block_log

    def blocks(self, block: int, count: int) -> bytes:
        """The bytes of blocks; `count` is bounded by the caller."""
        return self.source.pread(self.place(block, count), count << self._block_log)

    def inode(self, number: int) -> bytes:
        """The bytes of an inode, unchecked."""
        key = number >> self._cluster_log
        cluster = self._clusters.get(key)
        if cluster is None:
            cluster = self._read_cluster(key)
        start = (number & self._cluster_mask) * self._inode_size
        data = cluster[start : start + self._inode_size]
        if len(data) != self._inode_size:
            raise Broken(f"inode {number} lies outside of its allocation group")
        return data

    def _read_cluster(self, key: int) -> bytes:
        """The piece with the inodes of which `key` are the high bits; shorter at the end of a group."""
        first = key << self._cluster_log
        inodes_log = self.superblock.inodes_per_block_log
        group = first >> (self._group_log + inodes_log)
        if group >= self._groups:
            raise Broken(f"inode {first} lies in an allocation group that does not exist")
        length = self._last_blocks if group == self._groups - 1 else self._group_blocks
        start = (first & ((1 << (self._group_log + inodes_log)) - 1)) * self._inode_size
        count = min(_CLUSTER, (length << self._block_log) - start)
        if count <= 0:
            raise Broken(f"inode {first} lies outside of its allocation group")
        self.budget.step()
        data = self.source.pread((group * self._group_blocks << self._block_log) + start, count)
        if len(self._clusters) >= _CLUSTERS:
            del self._clusters[next(iter(self._clusters))]
        self._clusters[key] = data
        return data
