"""A tree: an item by its key, and ranges of items in the order of their keys."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Protocol

from douane_guest.errors import Broken

from .keys import LAST, Key
from .nodes import HEADER, Node, NodeReader
from .nodes import Item as NodeItem

_END: Key = (LAST, 255, LAST)
_BEGIN = HEADER.size
"""From where in a leaf the offsets of its items count."""

_KEPT = 2
"""Nodes; of each of 16 trees (`subvolumes.py`)."""


Item = tuple[Key, bytes]
"""A plain tuple: a walk makes hundreds of thousands."""


Typed = tuple[list[int], list[bytes]]
"""Types of items, and their data."""


Branch = tuple[Node, int, Key, Key]
"""A node on the way to a leaf, its level, and the range of keys that are looked for in it, without the last one."""


class Items(Protocol):
    """A tree, or a tree with the changes of its log."""

    def find(self, key: Key) -> bytes | None:
        """The data of an item."""

    def items(self, first: Key, last: Key) -> Iterator[Item]:
        """The items from `first` to `last`, both included, ascending."""

    def typed(self, first: Key, last: Key) -> Iterator[Typed]:
        """The types and the data of the same items, some at a time."""

    def find_all(self, keys: list[Key]) -> list[bytes | None]:
        """The same as `find` for each of many keys, which ascend."""

    def floor(self, key: Key) -> Key:
        """The last key that is not after `key`; (0, 0, 0) if there is none."""


class Tree:
    """A tree by its root."""

    def __init__(self, nodes: NodeReader, address: int, level: int, generation: int) -> None:
        self._nodes = nodes
        self._root = (address, level, generation)
        self._path: list[Branch] = []
        """The leaf that was read last, and the node above it. A search begins at the lowest of them in which its key
        is: folders lead to inodes all over the tree, but mostly below the same node."""

    def leaf(self, key: Key) -> Node:
        """The leaf in which `key` is, if it is in the tree."""
        path = self._path
        while path:
            node, level, low, high = path[-1]
            if low <= key < high:
                break
            path.pop()
        else:
            address, level, generation = self._root
            node, low, high = self._nodes.read(address, level, generation), (0, 0, 0), _END
            path.append((node, level, low, high))
        while level:
            items = node.items
            index = max(_after(items, key) - 1, 0)
            number, kind, place, child, generation = items[index]
            first = (number, kind, place)
            if index + 1 < len(items):
                high = items[index + 1][:3]
            level -= 1
            node = self._nodes.read(child, level, generation)
            # The kernel compares the first key as well; the last one must be before the next node's, or a search
            # and a walk would show different items.
            if not node.items or node.items[0][:3] != first or node.items[-1] >= high:
                raise Broken(f"the node at the logical address {node.address} has not the keys of its pointer")
            low = first if key >= first else low
            path.append((node, level, low, high))
        del path[:-_KEPT]
        return node

    def find(self, key: Key) -> bytes | None:
        """See :class:`Items`."""
        node = self.leaf(key)
        index = bisect_left(node.items, key)
        if index < len(node.items):
            number, kind, place, offset, size = node.items[index]
            if number == key[0] and kind == key[1] and place == key[2]:
                begin = _BEGIN + offset
                return node.data[begin : begin + size]
        return None

    def items(self, first: Key, last: Key) -> Iterator[Item]:
        """See :class:`Items`."""
        position = first
        while True:
            node = self.leaf(position)
            high, data = self._path[-1][3], node.data
            start, stop = bisect_left(node.items, position), _after(node.items, last)
            for number, kind, place, offset, size in node.items[start:stop]:
                begin = _BEGIN + offset
                yield (number, kind, place), data[begin : begin + size]
            if high > last or high == _END:
                return
            position = high

    def typed(self, first: Key, last: Key) -> Iterator[Typed]:
        """See :class:`Items`."""
        position = first
        while True:
            node = self.leaf(position)
            high, data = self._path[-1][3], node.data
            start, stop = bisect_left(node.items, position), _after(node.items, last)
            part = node.items[start:stop]
            datas = [data[offset + _BEGIN : offset + _BEGIN + size] for _, _, _, offset, size in part]
            yield [item[1] for item in part], datas
            if high > last or high == _END:
                return
            position = high

    def find_all(self, keys: list[Key]) -> list[bytes | None]:
        """See :class:`Items`."""
        datas: list[bytes | None] = []
        high: Key = (0, 0, 0)
        items: list[NodeItem] = []
        for key in keys:
            if key >= high:
                node = self.leaf(key)
                items, data, high, index = node.items, node.data, self._path[-1][3], 0
            index = bisect_left(items, key, index)
            if index < len(items):
                number, kind, place, offset, size = items[index]
                if number == key[0] and kind == key[1] and place == key[2]:
                    begin = offset + _BEGIN
                    datas.append(data[begin : begin + size])
                    continue
            datas.append(None)
        return datas

    def floor(self, key: Key) -> Key:
        """See :class:`Items`."""
        items = self.leaf(key).items
        index = _after(items, key) - 1
        return items[index][:3] if index >= 0 else (0, 0, 0)


def _after(items: list[NodeItem], key: Key) -> int:
    """The index of the first item after those with `key`."""
    number, kind, place = key
    return bisect_left(items, (number, kind, place + 1))
