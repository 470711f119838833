"""Folders: each name is in two items, by its hash and by its number, and both must say the same.

The kernel lists a folder by the numbers and opens a name by its hash: a name in one of them alone would be a file that
is opened and never listed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from operator import itemgetter

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.headers.crc32c import crc32c_raw
from douane_guest.names import are_sound

from .inode import NAMED
from .keys import DIR_INDEX, DIR_ITEM, INODE_ITEM, LAST, ROOT_ITEM
from .tree import Items

_ENCRYPTED = 0x80
_NAME_SEED = 0xFFFFFFFE
_MAX_NAME = 255
_DOTS = (b".", b"..")
_TRANSACTION = 17
"""Where the number of the transaction is in an entry: 8 bytes after the key."""

_SIZES = struct.Struct("<HH")
_SIZES_OFFSET = 25
_PLAIN_ENTRY = struct.Struct("<QB8xHHB")
"""An entry without the number of its transaction."""

_PLAIN = 1024
"""Names of a folder that are looked at as a whole. A walk keeps those of all folders on its way."""

_TARGET = itemgetter(1)

_IN_MEMORY = 100_000
"""Names of a folder that are compared one by one; those of larger folders are compared by a keyed sum."""


Name = tuple[bytes, int, bool]
"""A name in a folder, the number to which it leads, and whether that is a subvolume."""


def name_hash(name: bytes) -> int:
    """The offset in the key of a name: CRC32C that begins with -2 and is not complemented."""
    return crc32c_raw(name, _NAME_SEED)


def plain_names(items: Items, number: int, budget: Budget) -> list[tuple[bytes, int]] | None:
    """The names of a folder as most are: not too large, with items that are the same under both keys, and without
    subvolumes; in the order of their inodes, so that a walk takes those of a leaf together. None for any other folder,
    and for one that is damaged: `compared_names` says what is wrong."""
    kinds: list[int] = []
    datas: list[bytes] = []
    for types, part in items.typed((number, DIR_ITEM, 0), (number, DIR_INDEX, LAST)):
        kinds += types
        datas += [item[:_TRANSACTION] + item[_TRANSACTION + 8 :] for item in part]
        if len(datas) > 2 * _PLAIN:
            return None
    count = len(datas) // 2
    budget.step(count)
    if kinds != [DIR_ITEM] * count + [DIR_INDEX] * count:
        return None
    listed = datas[count:]
    entries = set(listed)
    if len(entries) != count or set(datas[:count]) != entries:
        return None
    unpack = _PLAIN_ENTRY.unpack_from
    names: list[tuple[bytes, int]] = []
    for item in listed:
        target, kind, data_size, name_size, flags = unpack(item)
        name = item[_PLAIN_ENTRY.size :]
        if kind != INODE_ITEM or data_size or not 0 < name_size <= _MAX_NAME or name_size != len(name) or flags >= 128:
            return None
        names.append((name, target))
    texts = [name for name, _ in names]
    if not are_sound(texts) or len(set(texts)) != len(texts):
        return None
    names.sort(key=_TARGET)
    return names


def compared_names(items: Items, number: int, budget: Budget) -> Iterator[Name]:
    """The names of any folder, entry by entry, in the order in which they were added. Raises Broken if the items of
    both keys differ."""
    hashed = _Hashed()
    add, remove, step, unpack, size = hashed.add, hashed.remove, budget.step, NAMED.unpack_from, NAMED.size
    for (_, listing, place), item in items.items((number, DIR_ITEM, 0), (number, DIR_INDEX, LAST)):
        if listing == DIR_ITEM:
            parts = entries_of(item)
            step(len(parts))
            for part in parts:
                add(place, part)
            continue
        if listing != DIR_INDEX:
            continue
        if len(item) <= size:
            raise Broken("an item ends within an entry")
        target, kind, _, _, data_size, name_size, flags = unpack(item)
        name = item[size:]
        if name_size != len(name) or data_size:
            raise Broken("an item of a folder has more than a name")
        if flags & _ENCRYPTED:
            raise Unsupported("the names of a folder are encrypted", "guest-encrypted")
        if name_size > _MAX_NAME or b"/" in name or b"\0" in name or name in _DOTS:
            raise Broken(f"a folder has the name {name[:300]!r}")
        if kind not in (INODE_ITEM, ROOT_ITEM):
            raise Broken(f"the name {name!r} leads to an item of type {kind}")
        remove(item, name)
        yield name, target, kind == ROOT_ITEM
    hashed.check_empty()


def entries_of(item: bytes) -> list[bytes]:
    """The entries of an item: more than one if names have the same hash."""
    if len(item) > NAMED.size:
        data_size, name_size = _SIZES.unpack_from(item, _SIZES_OFFSET)
        if data_size + name_size == len(item) - NAMED.size:
            return [item]
    parts = []
    position = 0
    while position < len(item):
        if position + NAMED.size > len(item):
            raise Broken("an item ends within an entry")
        data_size, name_size = _SIZES.unpack_from(item, position + _SIZES_OFFSET)
        end = position + NAMED.size + data_size + name_size
        if end > len(item):
            raise Broken("a name is longer than its item")
        parts.append(item[position:end])
        position = end
    return parts


class _Hashed:
    """The entries by their hashes, from which those by their numbers are taken away. They are the same bytes, but for
    the number of the transaction."""

    def __init__(self) -> None:
        self._entries: set[bytes] = set()
        self._names: set[bytes] = set()
        self._last_key = -1
        self._same_key: set[bytes] = set()
        self._secret = b""
        self._sum = 0

    def add(self, key: int, part: bytes) -> None:
        entry = part[:_TRANSACTION] + part[_TRANSACTION + 8 :]
        if len(self._entries) < _IN_MEMORY:
            self._entries.add(entry)
            return
        if key != self._last_key:
            self._last_key = key
            self._same_key = set()
        # With right hashes, equal names have equal keys.
        name = part[NAMED.size :]
        if key != name_hash(name) or name in self._same_key:
            raise Broken(f"the name {name!r} is twice in a folder, or has a wrong hash")
        self._same_key.add(name)
        self._sum += self._digest(entry)

    def remove(self, part: bytes, name: bytes) -> None:
        entry = part[:_TRANSACTION] + part[_TRANSACTION + 8 :]
        if entry in self._entries:
            self._entries.remove(entry)
            if name in self._names:
                raise Broken(f"the name {name!r} is twice in a folder")
            self._names.add(name)
        elif self._secret:
            self._sum -= self._digest(entry)
        else:
            raise Broken(f"the two items of the name {name!r} differ")

    def check_empty(self) -> None:
        if self._entries or self._sum:
            raise Broken("a folder has names that can be opened and are not listed, or the reverse")

    def _digest(self, entry: bytes) -> int:
        from hashlib import blake2b  # 4 ms, for folders of more than 100,000 names

        self._secret = self._secret or os.urandom(16)
        return int.from_bytes(blake2b(entry, digest_size=16, key=self._secret).digest(), "little")
