"""A tree with changes in memory: the objects that a log changes are held with all of their items."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch, Unsupported

from .directory import entries_of, name_hash
from .extents import INLINE, parse_extent
from .inode import INODE, NAMED
from .keys import DIR_INDEX, DIR_ITEM, EXTENT_DATA, INODE_EXTREF, INODE_ITEM, INODE_REF, LAST, Key
from .tree import Item, Tree, Typed

_MAX_BYTES = 16 << 20
"""Of all items in memory, each counted with `_ITEM_BYTES` for its objects."""

_ITEM_BYTES = 200
_REF = struct.Struct("<QH")
_EXTREF = struct.Struct("<QQH")
_MODE = slice(52, 56)
_SIZE = slice(16, 24)
_ENTRY_KINDS = {0o10: 1, 0o4: 2, 0o2: 3, 0o6: 4, 0o1: 5, 0o14: 6, 0o12: 7}
"""BTRFS_FT_* by the type bits of a mode."""

Reference = tuple[int, int, bytes]
"""Number of the folder, index in it, name."""


class Room:
    """How much may be in memory."""

    def __init__(self) -> None:
        self._left = _MAX_BYTES

    def take(self, item: bytes) -> None:
        """Raises TooMuch if it is used up."""
        self._left -= len(item) + _ITEM_BYTES
        if self._left < 0:
            raise TooMuch("the log tree changes more files and folders than are held in memory")


class ChangedTree:
    """See `tree.Items`; ranges of items are those of one object."""

    def __init__(self, base: Tree, room: Room, budget: Budget, sector_size: int, no_holes: bool) -> None:
        self._base = base
        self._room = room
        self._budget = budget
        self._sector_size = sector_size
        self._no_holes = no_holes
        self._objects: dict[int, dict[Key, bytes]] = {}
        self._sorted: dict[int, list[Key]] = {}

    def find(self, key: Key) -> bytes | None:
        """See `tree.Items`."""
        if key[0] in self._objects:
            return self._objects[key[0]].get(key)
        return self._base.find(key)

    def items(self, first: Key, last: Key) -> Iterator[Item]:
        """See `tree.Items`."""
        if first[0] not in self._objects:
            yield from self._base.items(first, last)
            return
        items = self._objects[first[0]]
        keys = self._keys(first[0])
        for key in keys[bisect_left(keys, first) : bisect_right(keys, last)]:
            yield key, items[key]

    def typed(self, first: Key, last: Key) -> Iterator[Typed]:
        """See `tree.Items`."""
        if first[0] not in self._objects:
            yield from self._base.typed(first, last)
        else:
            items = list(self.items(first, last))
            yield [key[1] for key, _ in items], [item for _, item in items]

    def find_all(self, keys: list[Key]) -> list[bytes | None]:
        """See `tree.Items`."""
        return [self.find(key) for key in keys]

    def floor(self, key: Key) -> Key:
        """See `tree.Items`."""
        if key[0] not in self._objects:
            return self._base.floor(key)
        keys = self._keys(key[0])
        index = bisect_right(keys, key) - 1
        return keys[index] if index >= 0 else (0, 0, 0)

    def _keys(self, number: int) -> list[Key]:
        if number not in self._sorted:
            self._sorted[number] = sorted(self._objects[number])
        return self._sorted[number]

    # --- items --------------------------------------------------------------------------------------------------------

    def object(self, number: int) -> dict[Key, bytes]:
        """All items of an object, to be read."""
        items = self._objects.get(number)
        if items is None:
            items = {}
            for key, item in self._base.items((number, 0, 0), (number, 255, LAST)):
                self._budget.step()
                self._room.take(item)
                items[key] = item
            self._objects[number] = items
        return items

    def write(self, key: Key, item: bytes) -> None:
        """Add an item, or replace it."""
        self._room.take(item)
        self.object(key[0])[key] = item
        self._sorted.pop(key[0], None)

    def remove(self, key: Key) -> None:
        """Remove an item, if it is there."""
        self.object(key[0]).pop(key, None)
        self._sorted.pop(key[0], None)

    def is_inode(self, number: int) -> bool:
        """True if the inode is there."""
        return self.find((number, INODE_ITEM, 0)) is not None

    # --- names --------------------------------------------------------------------------------------------------------

    def entry(self, folder: int, name: bytes) -> bytes | None:
        """The entry of a name, by its hash."""
        item = self.find((folder, DIR_ITEM, name_hash(name)))
        return next((part for part in entries_of(item or b"") if part[NAMED.size :] == name), None)

    def link(self, folder: int, index: int, name: bytes, number: int, *, with_reference: bool) -> None:
        """Add a name, unless the name or the index is used."""
        place = (folder, DIR_INDEX, index)
        if self.entry(folder, name) is not None or self.find(place) is not None:
            return
        inode = self.find((number, INODE_ITEM, 0)) or b""
        kind = _ENTRY_KINDS.get(int.from_bytes(inode[_MODE], "little") >> 12, 0)
        entry = NAMED.pack(number, INODE_ITEM, 0, 0, 0, len(name), kind) + name
        hashed = (folder, DIR_ITEM, name_hash(name))
        self.write(hashed, (self.find(hashed) or b"") + entry)
        self.write(place, entry)
        self._resize(folder, 2 * len(name))
        if with_reference:
            key = (number, INODE_REF, folder)
            self.write(key, (self.find(key) or b"") + _REF.pack(index, len(name)) + name)

    def unlink(self, folder: int, name: bytes) -> None:
        """Remove a name, with its reference."""
        entry = self.entry(folder, name)
        if entry is None:
            raise Broken(f"the log removes the name {name!r}, which is not there")
        number, kind = NAMED.unpack_from(entry)[:2]
        if kind != INODE_ITEM:
            raise Unsupported("the log removes a subvolume", "guest-unclean")
        index = self._remove_reference(number, folder, name)
        hashed = (folder, DIR_ITEM, name_hash(name))
        rest = b"".join(part for part in entries_of(self.find(hashed) or b"") if part != entry)
        if rest:
            self.write(hashed, rest)
        else:
            self.remove(hashed)
        self.remove((folder, DIR_INDEX, index))
        self._resize(folder, -2 * len(name))

    def references(self, number: int) -> Iterator[tuple[Key, Reference]]:
        """Each name that leads to an inode."""
        for key, item in list(self.items((number, INODE_REF, 0), (number, INODE_EXTREF, LAST))):
            for reference in parse_references(key, item):
                self._budget.step()
                yield key, reference

    def _remove_reference(self, number: int, folder: int, name: bytes) -> int:
        for key, (parent, index, text) in self.references(number):
            if (parent, text) == (folder, name):
                rest = [
                    reference
                    for reference in parse_references(key, self.find(key) or b"")
                    if reference != (parent, index, text)
                ]
                if rest:
                    self.write(key, pack_references(key, rest))
                else:
                    self.remove(key)
                return index
        raise Broken(f"the name {name!r} has no reference in inode {number}")

    def _resize(self, folder: int, change: int) -> None:
        key = (folder, INODE_ITEM, 0)
        item = self.find(key)
        if item is None or len(item) != INODE.size:
            raise Broken(f"the folder {folder} is not there")
        size = max(int.from_bytes(item[_SIZE], "little") + change, 0)
        self.write(key, with_size(item, size))

    # --- extents ------------------------------------------------------------------------------------------------------

    def drop_extents(self, number: int, start: int, end: int) -> None:
        """Make a hole. Raises Unsupported where the kernel does: a part of an inline extent."""
        for key, item in list(self.items((number, EXTENT_DATA, 0), (number, EXTENT_DATA, LAST))):
            self._budget.step()
            extent = parse_extent(key, item, self._sector_size)
            stop = extent.start + extent.size
            if stop <= start or extent.start >= end:
                continue
            if extent.kind == INLINE and end < stop:
                raise Unsupported("the log replaces a part of an inline extent", "guest-unclean")
            self.remove(key)
            if extent.start < start:
                if extent.kind == INLINE:
                    raise Unsupported("the log replaces a part of an inline extent", "guest-unclean")
                self.write(key, _part(item, extent.skip, start - extent.start))
            if stop > end:
                skip = extent.skip + end - extent.start if extent.address else 0
                self.write((number, EXTENT_DATA, end), _part(item, skip, stop - end))

    def replay_extent(self, key: Key, item: bytes) -> None:
        """Put an extent in the place of what was there."""
        if self.find(key) == item:
            return
        extent = parse_extent(key, item, self._sector_size)
        end = extent.start + extent.size
        if extent.kind == INLINE:
            end = -(-end // self._sector_size) * self._sector_size
        self.drop_extents(key[0], extent.start, end)
        if extent.kind == INLINE or extent.address or not self._no_holes:
            self.write(key, item)


_PART = slice(37, 53)
_PART_FIELDS = struct.Struct("<QQ")


def _part(item: bytes, skip: int, size: int) -> bytes:
    return item[: _PART.start] + _PART_FIELDS.pack(skip, size)


def with_size(item: bytes, size: int) -> bytes:
    """An inode item with another size."""
    return item[: _SIZE.start] + size.to_bytes(8, "little") + item[_SIZE.stop :]


def parse_references(key: Key, item: bytes) -> Iterator[Reference]:
    """The names in an item of references."""
    position = 0
    while position < len(item):
        head = _REF if key[1] == INODE_REF else _EXTREF
        if position + head.size > len(item):
            raise Broken(f"the references of inode {key[0]} end within one")
        *parents, index, size = head.unpack_from(item, position)
        position += head.size
        if not size or position + size > len(item):
            raise Broken(f"a reference of inode {key[0]} has a name of {size} bytes")
        yield parents[0] if parents else key[2], index, item[position : position + size]
        position += size


def pack_references(key: Key, references: list[Reference]) -> bytes:
    """The reverse of `parse_references`."""
    if key[1] == INODE_REF:
        return b"".join(_REF.pack(index, len(name)) + name for _, index, name in references)
    return b"".join(_EXTREF.pack(parent, index, len(name)) + name for parent, index, name in references)
