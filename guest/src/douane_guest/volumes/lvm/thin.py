"""Thin volumes: where a chunk of a volume is in its pool, by the B-tree of the device mapper's metadata.

Sources: Documentation/admin-guide/device-mapper/{thin-provisioning,persistent-data}.rst; the names of the fields are
those of thin_dump(8). The metadata is copied before it is changed, so that the last commit is always whole.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import OrderedDict
from itertools import pairwise
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.source import Source, check_range

BLOCK = 4096
MAX_DEPTH = 16
NODES = 256
"""Nodes of the tree that are kept: 1 MiB."""
MAGIC = 27022010
NEEDS_CHECK = 1
_SUPER = struct.Struct("<IIQ16sQIIQQ128s128sQQIIQ")
_NODE = struct.Struct("<IIQIIII")
_INTERNAL, _LEAF = 1, 2


class _Node(NamedTuple):
    leaf: bool
    keys: tuple[int, ...]
    values: tuple[int, ...]


class ThinPool:
    """The metadata and the data of a pool."""

    def __init__(self, metadata: Source, data: Source, chunk: int, budget: Budget) -> None:
        fields = _SUPER.unpack_from(metadata.pread(0, BLOCK))
        magic, version, self._root, sectors, block = fields[4], fields[5], fields[11], fields[13], fields[14]
        if magic != MAGIC or version not in (1, 2):
            raise Broken("the metadata of a thin pool has no superblock")
        if fields[1] & NEEDS_CHECK:
            raise Unsupported("the metadata of a thin pool needs a check", "guest-unclean")
        if block * 512 != BLOCK or sectors * 512 != chunk or not chunk:
            raise Broken(f"a thin pool has chunks of {sectors * 512} bytes, and its group says {chunk}")
        self._metadata = metadata
        self.data = data
        self.chunk = chunk
        self._budget = budget
        self._nodes: OrderedDict[int, _Node] = OrderedDict()

    def volume(self, device: int, size: int) -> ThinVolume:
        """A volume by its number. One that the pool does not know has no chunks yet."""
        return ThinVolume(self, self.find(self._root, device), size)

    def find(self, block: int, key: int) -> int | None:
        """The value of a key in the tree whose root is at a block."""
        for _ in range(MAX_DEPTH):
            self._budget.step()
            node = self._node(block)
            index = bisect_right(node.keys, key) - 1
            if index < 0:
                return None
            if node.leaf:
                return node.values[index] if node.keys[index] == key else None
            block = node.values[index]
        raise Broken(f"the tree of a thin pool is deeper than {MAX_DEPTH}")

    def _node(self, block: int) -> _Node:
        node = self._nodes.get(block)
        if node is not None:
            self._nodes.move_to_end(block)
            return node
        data = self._metadata.pread(block * BLOCK, BLOCK)
        _, flags, number, count, room, width, _ = _NODE.unpack_from(data)
        leaf = bool(flags & _LEAF)
        if flags & ~3 or leaf == bool(flags & _INTERNAL) or number != block or width != 8:
            raise Broken(f"block {block} of the metadata of a thin pool is no node of its tree")
        if count > room or _NODE.size + room * 16 > BLOCK:
            raise Broken(f"block {block} of the metadata of a thin pool has {count} keys")
        keys = struct.unpack_from(f"<{count}Q", data, _NODE.size)
        if any(first >= second for first, second in pairwise(keys)):
            raise Broken(f"the keys in block {block} of the metadata of a thin pool do not ascend")
        node = _Node(leaf, keys, struct.unpack_from(f"<{count}Q", data, _NODE.size + room * 8))
        self._nodes[block] = node
        if len(self._nodes) > NODES:
            self._nodes.popitem(last=False)
        return node


class ThinVolume:
    """A volume of a pool; chunks that were never written are zeros."""

    def __init__(self, pool: ThinPool, root: int | None, size: int) -> None:
        self._pool = pool
        self._root = root
        self.size = size

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`~douane_guest.source.Source`."""
        check_range(self, offset, count)
        chunk = self._pool.chunk
        parts = []
        while count:
            number, skip = divmod(offset, chunk)
            length = min(count, chunk - skip)
            value = None if self._root is None else self._pool.find(self._root, number)
            # The low 24 bits are the time at which the chunk was mapped.
            parts.append(
                bytes(length) if value is None else self._pool.data.pread((value >> 24) * chunk + skip, length)
            )
            offset += length
            count -= length
        return parts[0] if len(parts) == 1 else b"".join(parts)
