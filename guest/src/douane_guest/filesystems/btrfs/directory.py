"""Folders: each name is in two items, by its hash and by its number, and both must say the same.

The kernel lists a folder by the numbers and opens a name by its hash: a name in one of them alone would be a file that
is opened and never listed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.checksums import crc32c_raw
from douane_guest.errors import Broken, Unsupported

from .inode import NAMED, named_parts
from .keys import DIR_INDEX, DIR_ITEM, INODE_ITEM, LAST, ROOT_ITEM
from .tree import Items

_ENCRYPTED = 0x80
_NAME_SEED = 0xFFFFFFFE
_IN_MEMORY = 100_000
"""Names of a folder that are compared one by one; those of larger folders are compared by a keyed sum."""


class Name(NamedTuple):
    """A name in a folder, and to what it leads."""

    name: bytes
    number: int
    is_subvolume: bool


def name_hash(name: bytes) -> int:
    """The offset in the key of a name: CRC32C that begins with -2 and is not complemented."""
    return crc32c_raw(name, _NAME_SEED)


def names(items: Items, number: int, budget: Budget) -> Iterator[Name]:
    """The names of the folder `number`, in the order in which they were added. Raises Broken if the items differ."""
    hashed = _Hashed()
    for key, item in items.items((number, DIR_ITEM, 0), (number, DIR_ITEM, LAST)):
        parts = named_parts(item)
        budget.step(len(parts))
        for name, data, target, kind, flags in parts:
            hashed.add(key[2], _checked(name, data, target, kind, flags))
    for _, item in items.items((number, DIR_INDEX, 0), (number, DIR_INDEX, LAST)):
        # Not `named_parts`: there is one name in each item, and this is the loop that decides how fast a walk is.
        if len(item) <= NAMED.size:
            raise Broken("an item ends within an entry")
        target, kind, _, _, data_size, name_size, flags = NAMED.unpack_from(item)
        name = item[NAMED.size :]
        if name_size != len(name) or data_size:
            raise Broken("an item of a folder has more than a name")
        entry = _checked(name, b"", target, kind, flags)
        hashed.remove(entry)
        yield entry
    hashed.check_empty()


def _checked(name: bytes, data: bytes, target: int, kind: int, flags: int) -> Name:
    if flags & _ENCRYPTED:
        raise Unsupported("the names of a folder are encrypted", "guest-encrypted")
    if not name or len(name) > 255 or b"/" in name or b"\0" in name or name in (b".", b"..") or data:
        raise Broken(f"a folder has the name {name[:300]!r}")
    if kind not in (INODE_ITEM, ROOT_ITEM):
        raise Broken(f"the name {name!r} leads to an item of type {kind}")
    return Name(name, target, kind == ROOT_ITEM)


class _Hashed:
    """The names by their hashes, from which those by their numbers are taken away."""

    def __init__(self) -> None:
        self._names: dict[bytes, Name] = {}
        self._last_key = -1
        self._same_key: set[bytes] = set()
        self._secret = b""
        self._sum = 0

    def add(self, key: int, entry: Name) -> None:
        if len(self._names) < _IN_MEMORY:
            if entry.name in self._names:
                raise Broken(f"the name {entry.name!r} is twice in a folder")
            self._names[entry.name] = entry
            return
        if key != self._last_key:
            self._last_key = key
            self._same_key = set()
        # With right hashes, equal names have equal keys.
        if key != name_hash(entry.name) or entry.name in self._same_key or entry.name in self._names:
            raise Broken(f"the name {entry.name!r} is twice in a folder, or has a wrong hash")
        self._same_key.add(entry.name)
        self._sum += self._digest(entry)

    def remove(self, entry: Name) -> None:
        if self._names.pop(entry.name, None) == entry:
            return
        if not self._secret:
            raise Broken(f"the two items of the name {entry.name!r} differ")
        self._sum -= self._digest(entry)

    def check_empty(self) -> None:
        if self._names or self._sum:
            raise Broken("a folder has names that can be opened and are not listed, or the reverse")

    def _digest(self, entry: Name) -> int:
        self._secret = self._secret or os.urandom(16)
        text = b"%d %d %b" % (entry.number, entry.is_subvolume, entry.name)
        return int.from_bytes(hashlib.blake2b(text, digest_size=16, key=self._secret).digest(), "little")
