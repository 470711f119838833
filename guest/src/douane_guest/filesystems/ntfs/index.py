"""Folders: trees of names, whose root is in the record, and whose other nodes are blocks of an attribute."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from douane_guest.errors import Broken, TooMuch

from .mft import File
from .record import NUMBER, Type, restore
from .stream import Disk, Map

NAME = "$I30"
_ROOT = struct.Struct("<III4x")
_BLOCK = struct.Struct("<4sHHQQ")
_HEADER = struct.Struct("<III")
_ENTRY = struct.Struct("<QHHH2x")
_NAME = struct.Struct("<BB")
_NAME_PLACE = 64
_CHILD, _LAST = 1, 2
_DOS = 2
_DEPTH = 32
_SMALLEST_UNIT = 512
_MOST_BITMAP = 8 << 20


class Name(NamedTuple):
    """A name in a folder."""

    number: int
    sequence: int
    name: bytes
    """In UTF-16."""

    for_dos: bool
    """The same file has another name."""


_Item = tuple[Name | None, int | None]
"""An entry of a node: a name, or the block of a node that is before it."""


_NO_ITEM: _Item = (None, None)


class Blocks:
    """The nodes of a folder but for its root."""

    def __init__(self, disk: Disk, folder: File, size: int) -> None:
        parts, bitmap = folder.parts(Type.INDEX_ALLOCATION, NAME), folder.parts(Type.BITMAP, NAME)
        if not parts or not bitmap:
            raise Broken("a folder of NTFS has nodes, and no place for them")
        if not 512 <= size <= 64 << 10 or size & (size - 1):
            raise Broken(f"a folder of NTFS has nodes of {size} bytes")
        self._size = size
        self._unit = disk.cluster if size >= disk.cluster else _SMALLEST_UNIT
        self._map = Map(disk, parts)
        used = Map(disk, bitmap)
        if used.size > _MOST_BITMAP:
            raise TooMuch("a folder of NTFS has more nodes than are read")
        self._used = used.read(0, used.size)
        self._visited = bytearray(used.size)

    def read(self, unit: int) -> list[_Item]:
        """The node in a block. Raises Broken for one that was visited before, or is marked as free."""
        place = unit * self._unit
        index, into = divmod(place, self._size)
        byte, bit = index >> 3, 1 << (index & 7)
        if into or byte >= len(self._used) or not self._used[byte] & bit or self._visited[byte] & bit:
            raise Broken(f"the node {index} of a folder of NTFS is free, or has two parents")
        self._visited[byte] |= bit
        data = bytes(restore(self._map.read(place, self._size), b"INDX"))
        if _BLOCK.unpack_from(data)[4] != unit:
            raise Broken("a node of a folder of NTFS lies at the place of another")
        return _items(data, _BLOCK.size)


def _root(folder: File) -> tuple[bytes, int]:
    """The root of the tree, and the size of other nodes."""
    root = folder.value(Type.INDEX_ROOT, NAME)
    if root is None:
        raise Broken("a folder of NTFS has no names, not even none")
    kind, _, size = _ROOT.unpack_from(root)
    if kind != Type.FILE_NAME:
        raise Broken("a folder of NTFS is in the order of something that is no name")
    return root, size


def search(disk: Disk, folder: File, sought: bytes, fold: Callable[[bytes], bytes]) -> list[Name] | None:
    """The names of a folder that are `sought`, by the order of its tree: `fold` is what names are compared by. None if
    a node on the way is not in that order: a search by another driver could then end elsewhere."""
    root, size = _root(folder)
    blocks: Blocks | None = None
    matches = []
    waiting: list[tuple[list[_Item], bytes | None, bytes | None]] = [(_items(root, _ROOT.size), None, None)]
    while waiting:
        items, low, high = waiting.pop()
        child: int | None = None
        for name, block in (*items, (None, None)):
            disk.budget.step()
            if block is not None:
                child = block
                continue
            key = fold(name.name) if name is not None else high
            if key is not None and ((low is not None and key < low) or (high is not None and key > high)):
                return None
            if child is not None and (low is None or low <= sought) and (key is None or sought <= key):
                blocks = blocks or Blocks(disk, folder, size)
                waiting.append((blocks.read(child), low, key))
            if name is not None and key == sought:
                matches.append(name)
            low, child = key, None
    return matches


def names(disk: Disk, folder: File) -> Iterator[Name]:
    """All names of a folder in their order."""
    root, size = _root(folder)
    blocks: Blocks | None = None
    waiting = [iter(_items(root, _ROOT.size))]
    while waiting:
        name, child = next(waiting[-1], _NO_ITEM)
        if child is not None:
            disk.budget.step()
            if len(waiting) > _DEPTH:
                raise Broken("a folder of NTFS is a tree that is too deep")
            blocks = blocks or Blocks(disk, folder, size)
            waiting.append(iter(blocks.read(child)))
        elif name is not None:
            disk.budget.step()
            yield name
        else:
            waiting.pop()


def _items(data: bytes, header: int) -> list[_Item]:
    """The entries of a node."""
    first, used, _ = _HEADER.unpack_from(data, header)
    place, end = header + first, header + used
    if end > len(data):
        raise Broken("a node of a folder of NTFS is longer than its block")
    items: list[_Item] = []
    while place + _ENTRY.size <= end:
        reference, length, key_length, flags = _ENTRY.unpack_from(data, place)
        after = place + length
        if length < _ENTRY.size + (8 if flags & _CHILD else 0) or length & 7 or after > end:
            raise Broken("an entry of a folder of NTFS is longer than its node, or too short")
        if flags & _CHILD:
            items.append((None, int.from_bytes(data[after - 8 : after], "little")))
        if flags & _LAST:
            return items
        key = data[place + _ENTRY.size : place + _ENTRY.size + key_length]
        items.append((_name(key, reference, length - _ENTRY.size), None))
        place = after
    raise Broken("a node of a folder of NTFS has no last entry")


def _name(key: bytes, reference: int, most: int) -> Name:
    if not _NAME_PLACE + 2 < len(key) <= most:
        raise Broken("an entry of a folder of NTFS has no name")
    length, space = _NAME.unpack_from(key, _NAME_PLACE)
    start = _NAME_PLACE + 2
    if space > 3 or start + 2 * length > len(key):
        raise Broken("the name in an entry of a folder of NTFS is longer than the entry")
    fields = reference & NUMBER, reference >> 48, key[start : start + 2 * length], space == _DOS
    return tuple.__new__(Name, fields)
