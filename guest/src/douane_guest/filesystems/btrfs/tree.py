"""A tree: an item by its key, and ranges of items in the order of their keys."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Protocol

from douane_guest.errors import Broken

from .keys import LAST, Key
from .nodes import HEADER, Node, NodeReader

_END: Key = (LAST, 255, LAST)


Item = tuple[Key, bytes]
"""A plain tuple: a walk makes hundreds of thousands."""


class Items(Protocol):
    """A tree, or a tree with the changes of its log."""

    def find(self, key: Key) -> bytes | None:
        """The data of an item."""

    def items(self, first: Key, last: Key) -> Iterator[Item]:
        """The items from `first` to `last`, both included, ascending."""

    def floor(self, key: Key) -> Key:
        """The last key that is not after `key`; (0, 0, 0) if there is none."""


class Tree:
    """A tree by its root."""

    def __init__(self, nodes: NodeReader, address: int, level: int, generation: int) -> None:
        self._nodes = nodes
        self._root = (address, level, generation)
        self._leaf: Node | None = None
        self._low: Key = _END
        self._high: Key = _END

    def leaf(self, key: Key) -> Node:
        """The leaf in which `key` is, if it is in the tree."""
        if self._leaf is not None and self._low <= key < self._high:
            return self._leaf
        address, level, generation = self._root
        low: Key = (0, 0, 0)
        high = _END
        node = self._nodes.read(address, level, generation)
        while level:
            index = max(bisect_right(node.keys, key) - 1, 0)
            first = node.keys[index]
            if index + 1 < len(node.keys):
                high = node.keys[index + 1]
            level -= 1
            node = self._nodes.read(node.pointers[index], level, node.generations[index])
            # The kernel compares the first key as well; the last one must be before the next node's, or a search
            # and a walk would show different items.
            if not node.keys or node.keys[0] != first or node.keys[-1] >= high:
                raise Broken(f"the node at the logical address {node.address} has not the keys of its pointer")
            low = first if key >= first else low
        self._leaf, self._low, self._high = node, low, high
        return node

    def find(self, key: Key) -> bytes | None:
        """See :class:`Items`."""
        node = self.leaf(key)
        index = bisect_left(node.keys, key)
        if index < len(node.keys) and node.keys[index] == key:
            start = HEADER.size + node.offsets[index]
            return node.data[start : start + node.sizes[index]]
        return None

    def items(self, first: Key, last: Key) -> Iterator[Item]:
        """See :class:`Items`."""
        position = first
        while True:
            node = self.leaf(position)
            high = self._high
            start = bisect_left(node.keys, position)
            stop = bisect_right(node.keys, last)
            keys, offsets, sizes, data = node.keys, node.offsets, node.sizes, node.data
            for index in range(start, stop):
                offset = HEADER.size + offsets[index]
                yield keys[index], data[offset : offset + sizes[index]]
            if high > last or high == _END:
                return
            position = high

    def floor(self, key: Key) -> Key:
        """See :class:`Items`."""
        keys = self.leaf(key).keys
        index = bisect_right(keys, key) - 1
        return keys[index] if index >= 0 else (0, 0, 0)
