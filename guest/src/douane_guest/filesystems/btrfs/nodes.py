"""Nodes of trees: read, verified, and kept for a while."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from operator import lt
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken

from .checksum import checksum
from .chunks import ChunkMap
from .superblock import Superblock

HEADER = struct.Struct("<32s16sQQ16sQQIB")
ITEM = struct.Struct("<QBQII")
_POINTER = struct.Struct("<QBQQQ")
_CACHE_BYTES = 3 << 20
"""Of nodes as they are stored; with their keys they take four times as much. With twice as many, a walk of 29,000
entries read 5 % less, and took 2 % longer."""


Item = tuple[int, int, int, int, int]
"""The three parts of a key, then of a leaf where behind the header of `data` the item begins, and its size; of an inner
node the logical address of a child, and its generation. As they are unpacked: a walk of 25,000 files has 150,000."""


class Node(NamedTuple):
    """A leaf, or an inner node."""

    items: list[Item]
    """Ascending. A key is less than the item that begins with it, and that one is less than the next key."""

    data: bytes
    """Of a leaf: what its items are, behind the header."""

    address: int


class NodeReader:
    """The nodes of all trees of a file system."""

    def __init__(self, chunks: ChunkMap, superblock: Superblock, budget: Budget) -> None:
        self._chunks = chunks
        self._superblock = superblock
        self._budget = budget
        self._cache: OrderedDict[tuple[int, int, int], Node] = OrderedDict()
        self._capacity = max(_CACHE_BYTES // superblock.node_size, 16)

    def read(self, address: int, level: int, generation: int) -> Node:
        """The node at a logical address. Raises Broken unless a copy has the level and generation of its pointer."""
        key = (address, level, generation)
        node = self._cache.get(key)
        if node is not None:
            self._cache.move_to_end(key)
            return node
        self._budget.step()
        node = self._verified(address, level, generation)
        self._budget.step(len(node.items))
        self._cache[key] = node
        if len(self._cache) > self._capacity:
            self._cache.popitem(last=False)
        return node

    def _verified(self, address: int, level: int, generation: int) -> Node:
        if address % self._superblock.sector_size:
            raise Broken(f"a node is at the logical address {address}")
        fault = ""
        for data in self._chunks.copies(address, self._superblock.node_size):
            fields = HEADER.unpack_from(data)
            if not fields[0].startswith(checksum(self._superblock.checksum_type, data[32:])):
                fault = "a wrong checksum"
            elif fields[1] != self._superblock.node_uuid or fields[2] != address:
                fault = "another address or file system in its header"
            elif fields[5] != generation:
                fault = f"generation {fields[5]} in place of {generation}"
            elif fields[8] != level:
                fault = f"level {fields[8]} in place of {level}"
            else:
                return parse(data, fields[7], level, address)
        raise Broken(f"the node at the logical address {address} has {fault}")


def parse(data: bytes, count: int, level: int, address: int) -> Node:
    """A node whose header is verified."""
    item_size = _POINTER.size if level else ITEM.size
    if HEADER.size + count * item_size > len(data) or (level and not count):
        raise Broken(f"the node at the logical address {address} has {count} items")
    if not count:
        return Node([], data, address)
    room = memoryview(data)[HEADER.size : HEADER.size + count * item_size]
    items: list[Item] = list((_POINTER if level else ITEM).iter_unpack(room))
    if level:
        keys = [item[:3] for item in items]
        _check_order(keys, address)
        return Node(items, b"", address)
    # Items fill a leaf from its end on, without gaps: the kernel's tree checker refuses all else. So equal keys, of
    # which the second one would begin before the first, do not ascend either, unless their items are empty.
    end, empty = len(data) - HEADER.size, False
    for _, _, _, offset, size in items:
        if offset + size != end:
            raise Broken(f"the items of the leaf at the logical address {address} overlap, or leave gaps")
        empty = empty or not size
        end = offset
    if end < count * item_size:
        raise Broken(f"the items of the leaf at the logical address {address} begin within their table")
    if empty or sorted(items) != items:  # A sort compares what is in order in half of the time.
        _check_order(items, address)
    return Node(items, data, address)


def _check_order(keys: Sequence[tuple[int, ...]], address: int) -> None:
    if not all(map(lt, keys, islice(keys, 1, None))):
        raise Broken(f"the keys of the node at the logical address {address} do not ascend")
