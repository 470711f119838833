"""Folders: blocks of entries, read from the first to the last; the tree of hashes (htree) hides in unused entries."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.filesystems.base import Entry

_HEAD = struct.Struct("<IHB")
"""Of an entry: its inode, its length, the length of its name."""
_DOTS = (b".", b"..")


def entries(data: bytes, inodes: int, budget: Budget) -> Iterator[Entry]:
    """The entries of a block, or of a part of an inline folder. `inodes`: the largest number. The length
    of a name is one byte, with the feature ``filetype`` and without it, as the kernel has it (fs/ext4/ext4.h): the byte
    behind it marks the last entry of a block, its checksum, either way."""
    place, end = 0, len(data)
    unpack, step, make = _HEAD.unpack_from, budget.step, tuple.__new__
    while place < end:
        if place + 8 > end:
            raise Broken("the last entry of a folder is cut off")
        inode, length, name_length = unpack(data, place)
        if end == 65536:
            # 16 bits cannot say 65,536: the two lowest ones, which are otherwise 0, stand above the others.
            length = end if length in (0, 65535) else length & 65532 | (length & 3) << 16
        if length & 3 or length < 12 or length < name_length + 8 or place + length > end:
            raise Broken("an entry of a folder has a wrong length")
        step()
        if inode:
            name = data[place + 8 : place + 8 + name_length]
            if inode > inodes or not name or b"/" in name or b"\0" in name:
                raise Broken(f"an entry of a folder has the name {name[:300]!r} and the inode {inode}")
            if name not in _DOTS:
                yield make(Entry, (name, inode))
        place += length
