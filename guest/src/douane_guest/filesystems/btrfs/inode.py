"""Inodes, and the attributes that are kept beside them."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from douane_guest.errors import Broken
from douane_guest.filesystems.base import BLOCK, CHAR, KINDS, Node

INODE = struct.Struct("<QQQQQIIIIQQQ32s12s12sQI12s")
_SHOWN = struct.Struct("<16xQ16xIIIIQ72xQI12x")
"""Those of its fields that stat(2) shows."""

_make = tuple.__new__
"""Half of the time of `Node(...)`; a walk makes one for each object."""

_TYPE_BITS = 12
_KINDS = {mode >> _TYPE_BITS: kind for mode, kind in KINDS.items()}
_PLAIN_KINDS = {mode: kind for mode, kind in _KINDS.items() if kind not in (CHAR, BLOCK)}
_MAX_SIZE = (1 << 63) - 1
_MINOR_BITS = 20
NAMED = struct.Struct("<QBQQHHB")
"""Before a name in a folder, and before an attribute: the key it leads to, lengths of the data and of the name."""


def parse_inode(ref: Any, item: bytes) -> Node:
    """An inode item."""
    if len(item) != INODE.size:
        raise Broken(f"inode {ref[1]} has an item of {len(item)} bytes")
    size, links, uid, gid, mode, device, seconds, nanoseconds = _SHOWN.unpack(item)
    kind = _KINDS.get(mode >> _TYPE_BITS)
    if kind is None:
        raise Broken(f"inode {ref[1]} has the mode {mode:o}")
    if size > _MAX_SIZE or nanoseconds >= 1_000_000_000:
        raise Broken(f"inode {ref[1]} has {size} bytes, and {nanoseconds} nanoseconds in its time")
    if seconds >> 63:
        seconds -= 1 << 64
    # The kernel stores its own dev_t: 12 bits of a major number above 20 bits of a minor one.
    numbers = (device >> _MINOR_BITS, device & ((1 << _MINOR_BITS) - 1)) if kind in (CHAR, BLOCK) else None
    mtime = seconds * 1_000_000_000 + nanoseconds
    return _make(Node, (ref, kind, mode & 0o7777, uid, gid, size, mtime, links, numbers, None))


def parse_inodes(tree: int, numbers: Iterable[int], items: Iterable[bytes | None]) -> list[Node]:
    """The same of many inodes of a tree, None for one that is not there. Most are no devices and have a time after
    1970: those are made in this loop, which takes a twentieth of a walk less than a call for each."""
    nodes: list[Node] = []
    for number, item in zip(numbers, items, strict=True):
        if item is None or len(item) != INODE.size:
            nodes.append(parse_inode((tree, number), item or b""))
            continue
        size, links, uid, gid, mode, _, seconds, nanoseconds = _SHOWN.unpack(item)
        kind = _PLAIN_KINDS.get(mode >> _TYPE_BITS)
        if kind is None or (size | seconds) >> 63 or nanoseconds >= 1_000_000_000:
            nodes.append(parse_inode((tree, number), item))
            continue
        mtime = seconds * 1_000_000_000 + nanoseconds
        nodes.append(_make(Node, ((tree, number), kind, mode & 0o7777, uid, gid, size, mtime, links, None, None)))
    return nodes


def named_parts(item: bytes) -> list[tuple[bytes, bytes, int, int, int]]:
    """All entries of an item of a folder or of attributes: name, data, number and type of its key, and its flags."""
    parts = []
    position = 0
    while position < len(item):
        if position + NAMED.size > len(item):
            raise Broken("an item ends within an entry")
        number, kind, _, _, data_size, name_size, flags = NAMED.unpack_from(item, position)
        position += NAMED.size
        end = position + name_size + data_size
        if end > len(item):
            raise Broken("a name, or an attribute, is longer than its item")
        parts.append((item[position : position + name_size], item[position + name_size : end], number, kind, flags))
        position = end
    return parts
