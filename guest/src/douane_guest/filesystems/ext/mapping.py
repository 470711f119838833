"""Where the blocks of a file are: trees of extents (ext4), and blocks of block numbers (ext2, ext3).

Both give runs ``(logical, physical, count)`` in ascending order; holes and unwritten extents are left out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken

from .blocks import Blocks

EXTENT_MAGIC = 0xF30A
MAX_DEPTH = 5
"""Of a tree of extents: enough for 2^32 blocks of 1,024 bytes."""
WRITTEN = 32768
"""A longer extent is an unwritten one, of `length - WRITTEN` blocks."""
NODE_STEPS = 20
"""What a node costs beside its entries: trees of empty nodes would be nearly free else."""
DIRECT = 12
END = 1 << 32

HEADER = struct.Struct("<HHHHI")
EXTENT = struct.Struct("<IHHI")
INDEX = struct.Struct("<IIHH")


class Run(NamedTuple):
    """Blocks that follow each other in the file and on the disk."""

    logical: int
    physical: int
    length: int


def extent_runs(blocks: Blocks, budget: Budget, root: bytes, start: int, end: int) -> Iterator[Run]:
    """The runs of a tree of extents whose root is the inode's 60 bytes, as far as they touch blocks [start, end)."""
    yield from _extent_node(blocks, budget, root, (0, END), (start, end), None)


def _extent_node(
    blocks: Blocks, budget: Budget, data: bytes, bounds: tuple[int, int], window: tuple[int, int], depth: int | None
) -> Iterator[Run]:
    """A node whose keys must lie in `bounds`: each block is at one place only, where the kernel looks for it."""
    magic, entries, capacity, level, _ = HEADER.unpack_from(data)
    if magic != EXTENT_MAGIC or entries > capacity or 12 + 12 * capacity > len(data):
        raise Broken("a node of a tree of extents has no magic number, or more entries than it can have")
    if level > MAX_DEPTH or (depth is not None and level != depth):
        raise Broken(f"a node of a tree of extents has the depth {level}")
    budget.step(entries + NODE_STEPS)
    body = memoryview(data)[12 : 12 + 12 * entries]
    if not level:
        yield from _leaf(blocks, body, bounds, window)
        return
    keys = [(logical, low | high << 32) for logical, low, high, _ in INDEX.iter_unpack(body)]
    limits = [logical for logical, _ in keys[1:]] + [bounds[1]]
    floor = bounds[0]
    for (logical, place), limit in zip(keys, limits, strict=True):
        if not floor <= logical < limit <= bounds[1]:
            raise Broken("the keys of a tree of extents are not in order")
        if logical < window[1] and limit > window[0]:
            yield from _extent_node(blocks, budget, blocks.read(place), (logical, limit), window, level - 1)
        floor = limit


def _leaf(blocks: Blocks, body: memoryview, bounds: tuple[int, int], window: tuple[int, int]) -> Iterator[Run]:
    floor, limit = bounds
    for logical, length, high, low in EXTENT.iter_unpack(body):
        count = length if length <= WRITTEN else length - WRITTEN
        if logical < floor or not count or logical + count > limit:
            raise Broken("the extents of a file overlap, are empty, or are not in order")
        floor = logical + count
        physical = low | high << 32
        blocks.check(physical, count)
        if length <= WRITTEN and floor > window[0] and logical < window[1]:
            yield Run(logical, physical, count)


def indirect_runs(blocks: Blocks, budget: Budget, root: bytes, start: int, end: int) -> Iterator[Run]:
    """The runs of a file of ext2 or ext3: 12 blocks, then one of block numbers, one of such, and one of those."""
    numbers = struct.unpack("<15I", root)
    pointers = blocks.size // 4
    yield from _pointers(blocks, numbers[:DIRECT], 0, (start, end))
    position = DIRECT
    for level, number in enumerate(numbers[DIRECT:]):
        if position >= end:
            return
        if number:
            yield from _indirect(blocks, budget, number, position, (start, end), level)
        position += pointers ** (level + 1)


def _indirect(
    blocks: Blocks, budget: Budget, number: int, position: int, window: tuple[int, int], level: int
) -> Iterator[Run]:
    """The runs below an indirect block; `level` 0: it has numbers of data blocks."""
    pointers = blocks.size // 4
    covers = pointers**level
    if position >= window[1] or position + covers * pointers <= window[0]:
        return
    budget.step(pointers)
    numbers = struct.unpack(f"<{pointers}I", blocks.read(number))
    if not level:
        yield from _pointers(blocks, numbers, position, window)
        return
    for index, child in enumerate(numbers):
        if child:
            yield from _indirect(blocks, budget, child, position + index * covers, window, level - 1)


def _pointers(blocks: Blocks, numbers: tuple[int, ...], position: int, window: tuple[int, int]) -> Iterator[Run]:
    """Runs of block numbers that follow each other; 0 is a hole."""
    first, count = numbers[0], len(numbers)
    if first and position + count <= window[1] and numbers == tuple(range(first, first + count)):
        blocks.check(first, count)  # usual in large files, and compared in C
        yield Run(position, first, count)
        return
    index = max(window[0] - position, 0)
    count = min(count, window[1] - position)
    while index < count:
        physical = numbers[index]
        begin = index
        index += 1
        if physical:
            while index < count and numbers[index] == physical + index - begin:
                index += 1
            blocks.check(physical, index - begin)
            yield Run(position + begin, physical, index - begin)
