"""Forks: the extents of an inode's data or attributes, in the inode or in a B+tree ("Data Extents" of the XFS book)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.errors import Broken

from .disk import Disk

LOCAL, EXTENTS, BTREE = 1, 2, 3
_RECORDS = struct.Struct(">QQ")
_BLOCK = struct.Struct(">4sHH")
_MAX_LEVELS = 9
"""XFS_BM_MAXLEVELS: more are not possible with 64 bits."""


class Fork(NamedTuple):
    """One fork of an inode."""

    format: int
    data: bytes
    """The part of the inode that belongs to it."""

    extent_count: int


class Extent(NamedTuple):
    """Blocks of a file that are stored one after the other."""

    offset: int
    """In the file, in blocks."""

    block: int
    length: int
    unwritten: bool
    """Reserved, and reads as zeros."""


def extents(disk: Disk, fork: Fork) -> Iterator[Extent]:
    """The extents, ascending, none overlapping another. Raises Broken unless they are as many as the inode says."""
    if fork.format == EXTENTS:
        if fork.extent_count * 16 > len(fork.data):
            raise Broken(f"an inode has {fork.extent_count} extents in {len(fork.data)} bytes")
        runs: Iterator[bytes] = iter((fork.data[: fork.extent_count * 16],))
    elif fork.format == BTREE:
        runs = _leaves(disk, fork.data)
    else:
        raise Broken(f"a fork of format {fork.format} has no extents")
    end_block = loaded = 0
    step = disk.budget.step
    for run in runs:
        step(1 + len(run) // 16)
        loaded += len(run) // 16
        for high, low in _RECORDS.iter_unpack(run):
            offset, count = (high & 0x7FFF_FFFF_FFFF_FFFF) >> 9, low & 0x1F_FFFF
            if offset < end_block or not count:
                raise Broken("the extents of an inode overlap, or have no blocks")
            end_block = offset + count
            yield Extent(offset, (high & 0x1FF) << 43 | low >> 21, count, bool(high >> 63))
    if loaded != fork.extent_count:
        raise Broken(f"an inode has {loaded} extents and says {fork.extent_count}")


def _leaves(disk: Disk, root: bytes) -> Iterator[bytes]:
    """The records of each leaf of a B+tree whose root is in the inode."""
    if len(root) < 4:
        raise Broken("the root of a tree of extents does not fit")
    level, count = struct.unpack_from(">HH", root)
    capacity = (len(root) - 4) // 16
    if not 1 <= level <= _MAX_LEVELS or not 1 <= count <= capacity:
        raise Broken(f"the root of a tree of extents has level {level} and {count} entries")
    for block in _pointers(root, 4 + capacity * 8, count):
        yield from _subtree_leaves(disk, block, level - 1)


def _subtree_leaves(disk: Disk, block: int, level: int) -> Iterator[bytes]:
    """The leaves below a block; levels fall by one at each step, which ends every loop of blocks."""
    disk.budget.step()
    data = disk.blocks(block, 1)
    magic, has_level, count = _BLOCK.unpack_from(data)
    v5 = disk.superblock.version == 5
    header = 72 if v5 else 24
    capacity = (len(data) - header) // 16
    if magic != (b"BMA3" if v5 else b"BMAP") or has_level != level or not 1 <= count <= capacity:
        raise Broken(f"block {block:#x} is not the block of level {level} of a tree of extents")
    if v5 and int.from_bytes(data[24:32], "big") << 9 != disk.place(block, 1):
        raise Broken(f"block {block:#x} of a tree of extents says that it is another one")
    if level == 0:
        yield data[header : header + count * 16]
        return
    for child in _pointers(data, header + capacity * 8, count):
        yield from _subtree_leaves(disk, child, level - 1)


def _pointers(data: bytes, at: int, count: int) -> tuple[int, ...]:
    pointers: tuple[int, ...] = struct.unpack_from(f">{count}Q", data, at)
    return pointers


def mapped(disk: Disk, fork: Fork, first: int, count: int) -> bytes:
    """`count` blocks of a structure that has no holes, from block `first` of the fork on; bounded by the caller."""
    pieces = []
    position = first
    for extent in extents(disk, fork):
        end = extent.offset + extent.length
        if end <= position:
            continue
        if extent.offset > position or extent.unwritten:
            break
        take = min(end, first + count) - position
        pieces.append(disk.blocks(extent.block + position - extent.offset, take))
        position += take
        if position == first + count:
            return b"".join(pieces)
    raise Broken(f"block {position} of a structure is not there")
