"""Inodes of version 1, 2 and 3 ("On-Disk Inode" of the XFS book)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from douane_guest.errors import Broken
from douane_guest.filesystems.base import BLOCK, CHAR, FILE, FOLDER, KINDS, LINK, Node, make_node

from .fork import BTREE, EXTENTS, LOCAL, Fork
from .superblock import Superblock

_CORE = struct.Struct(">2sHBBHIII4xQ8xQ8xQ12xIHBB6xH")
_V3 = struct.Struct(">Q24xQ16s")
"""flags2, number and UUID, from byte 120 on."""

REALTIME = 0x1
_BIGTIME = 0x8
_NREXT64 = 0x10
_BIGTIME_EPOCH = 2**31 * 1_000_000_000
_FORMATS = {FILE: (EXTENTS, BTREE), FOLDER: (LOCAL, EXTENTS, BTREE), LINK: (LOCAL, EXTENTS, BTREE)}


class Inode(NamedTuple):
    """What is kept of an inode in a node's `detail`."""

    number: int
    flags: int
    format: int
    extent_count: int
    fork_offset: int
    attribute_format: int
    attribute_count: int
    literal: bytes
    """What follows the core: the two forks."""

    @property
    def data_fork(self) -> Fork:
        end = self.fork_offset * 8
        return Fork(self.format, self.literal[:end] if end else self.literal, self.extent_count)

    @property
    def attribute_fork(self) -> Fork | None:
        if not self.fork_offset:
            return None
        return Fork(self.attribute_format, self.literal[self.fork_offset * 8 :], self.attribute_count)


def parse(raw: bytes, number: int, superblock: Superblock) -> Node:
    """The object that an inode describes. Raises Broken for one that is free or damaged."""
    (
        magic, mode, version, form, old_links, uid, gid, links, big_count, mtime, size, count,
        attribute_count, fork_offset, attribute_format, flags,
    ) = _CORE.unpack_from(raw)  # fmt: skip
    if magic != b"IN":
        raise Broken(f"there is no inode {number}")
    kind = KINDS.get(mode & 0o170000)
    if kind is None:
        raise Broken(f"inode {number} is free, or of no known kind")
    if version == 3:
        flags2, own_number, own_uuid = _V3.unpack_from(raw, 120)
        if superblock.version != 5 or own_number != number or own_uuid != superblock.meta_uuid:
            raise Broken(f"inode {number} says that it is another one")
        literal = raw[176:]
        if flags2 & _NREXT64:
            count, attribute_count = big_count, count
    elif version in {1, 2} and superblock.version == 4:
        flags2 = 0
        literal = raw[100:]
        if version == 1:
            links = old_links
    else:
        raise Broken(f"inode {number} has version {version}")
    if fork_offset * 8 >= len(literal) or size >> 63:
        raise Broken(f"inode {number} has a size or a fork that is not possible")
    if form not in _FORMATS.get(kind, (form,)):
        raise Broken(f"inode {number} is a {kind} with data of format {form}")
    if flags2 & _BIGTIME:
        mtime_ns = mtime - _BIGTIME_EPOCH
    else:
        seconds = mtime >> 32
        mtime_ns = (seconds - ((seconds & 0x8000_0000) << 1)) * 1_000_000_000 + (mtime & 0xFFFF_FFFF)
    device = None
    if kind in {CHAR, BLOCK}:
        stored = int.from_bytes(literal[:4], "big")
        device = (stored >> 18 & 0x3FFF, stored & 0x3FFFF)
    fields = number, flags, form, count, fork_offset, attribute_format, attribute_count, literal
    inode = tuple.__new__(Inode, fields)
    return make_node((number, kind, mode & 0o7777, uid, gid, size, mtime_ns, links, device, inode))
