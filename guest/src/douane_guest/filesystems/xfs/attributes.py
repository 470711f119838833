"""Extended attributes ("Extended Attributes" of the XFS book): in the inode, in leaves, or in blocks of their own."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from douane_guest.budget import AttributeRoom
from douane_guest.errors import Broken

from .disk import Disk
from .fork import EXTENTS, LOCAL, Fork, mapped

_IN_LEAF, _ROOT, _SECURE, _PARENT, _INCOMPLETE = 0x01, 0x02, 0x04, 0x08, 0x80
_ACLS = {b"SGI_ACL_FILE": b"system.posix_acl_access", b"SGI_ACL_DEFAULT": b"system.posix_acl_default"}
_VALUE_LIMIT = 65536
"""XFS_XATTR_SIZE_MAX."""

_LEAF, _NODE = (0xFBEE, 0x3BEE), (0xFEBE, 0x3EBE)
_ENTRY = struct.Struct(">4xHBx")


def xattrs(disk: Disk, fork: Fork, number: int) -> dict[bytes, bytes]:
    """The attributes as the kernel shows them to root: names with their prefixes, and lists of access a second time in
    the form of POSIX."""
    if fork.format == EXTENTS and not fork.extent_count:
        return {}
    pairs = _short(disk, fork.data) if fork.format == LOCAL else _leaves(disk, fork, number)
    values: dict[bytes, bytes] = {}
    room = AttributeRoom()
    for flags, name, value in pairs:
        room.take(len(name) + len(value))
        if flags & (_INCOMPLETE | _PARENT):
            continue
        prefix = b"security." if flags & _SECURE else b"trusted." if flags & _ROOT else b"user."
        if prefix + name in values:
            raise Broken(f"inode {number} has the attribute {name!r} twice")
        values[prefix + name] = value
        if flags & _ROOT and name in _ACLS:
            values[_ACLS[name]] = _posix_acl(value)
    return values


def _posix_acl(value: bytes) -> bytes:
    """The form of acl(5), little-endian, of a list in the form of IRIX, big-endian."""
    count = int.from_bytes(value[:4], "big")
    if len(value) < 4 + count * 12:
        raise Broken("a list of access has more entries than bytes")
    values = [struct.pack("<I", 2)]
    for tag, who, rights in struct.iter_unpack(">IIHxx", value[4 : 4 + count * 12]):
        identity = who if tag in {0x02, 0x08} else 0xFFFF_FFFF
        values.append(struct.pack("<HHI", tag, rights, identity))
    return b"".join(values)


def _short(disk: Disk, data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    if len(data) < 4:
        raise Broken("the attributes in an inode have no header")
    size, count = struct.unpack_from(">HB", data)
    at = 4
    disk.budget.step(1 + count)
    for _ in range(count):
        if at + 3 > min(size, len(data)):
            raise Broken("the attributes in an inode are more than fit")
        name_length, value_length, flags = data[at : at + 3]
        value_at = at + 3 + name_length
        at = value_at + value_length
        if not name_length or at > min(size, len(data)):
            raise Broken("an attribute ends behind its inode")
        yield flags, data[value_at - name_length : value_at], data[value_at:at]


def _leaves(disk: Disk, fork: Fork, number: int) -> Iterator[tuple[int, bytes, bytes]]:
    """All leaves, from the first one on by their forward pointers."""
    v5 = disk.superblock.version == 5
    at, data = _first_leaf(disk, fork, v5)
    visited = {at}
    while True:
        yield from _leaf(disk, fork, data, number, v5)
        at = int.from_bytes(data[:4], "big")
        if not at:
            return
        if at in visited:
            raise Broken(f"the attributes of inode {number} are a loop")
        visited.add(at)
        data = mapped(disk, fork, at, 1)
        if int.from_bytes(data[8:10], "big") != _LEAF[v5]:
            raise Broken(f"a block with attributes of inode {number} is none")


def _first_leaf(disk: Disk, fork: Fork, v5: bool) -> tuple[int, bytes]:
    at, level_before = 0, 0
    while True:
        data = mapped(disk, fork, at, 1)
        magic = int.from_bytes(data[8:10], "big")
        if magic == _LEAF[v5] and level_before in {0, 1}:
            return at, data
        count, level = struct.unpack_from(">HH", data, 56 if v5 else 12)
        if magic != _NODE[v5] or not count or not 1 <= level <= 5 or (level_before and level != level_before - 1):
            raise Broken("the tree of the attributes has a block that is none of it")
        level_before = level
        at = int.from_bytes(data[68:72] if v5 else data[20:24], "big")


def _leaf(disk: Disk, fork: Fork, data: bytes, number: int, v5: bool) -> Iterator[tuple[int, bytes, bytes]]:
    header = 80 if v5 else 32
    (count,) = struct.unpack_from(">H", data, 56 if v5 else 12)
    if header + count * 8 > len(data):
        raise Broken("a block has more attributes than fit")
    disk.budget.step(1 + count)
    for name_at, flags in _ENTRY.iter_unpack(data[header : header + count * 8]):
        if name_at < header + count * 8 or name_at + 9 > len(data) + 6:
            raise Broken("an attribute lies outside of its block")
        if flags & _IN_LEAF:
            length, name_length = struct.unpack_from(">HB", data, name_at)
            start = name_at + 3
            end = start + name_length + length
        else:
            block, length, name_length = struct.unpack_from(">IIB", data, name_at)
            start = name_at + 9
            end = start + name_length
        if not name_length or end > len(data):
            raise Broken("an attribute ends behind its block")
        name = data[start : start + name_length]
        if flags & _IN_LEAF:
            yield flags, name, data[start + name_length : end]
        elif flags & _INCOMPLETE or not length:
            yield flags, name, b""
        else:
            yield flags, name, _remote(disk, fork, block, length, number, v5)


def _remote(disk: Disk, fork: Fork, block: int, length: int, number: int, v5: bool) -> bytes:
    """A value in blocks of its own; each begins with a header since version 5."""
    if length > _VALUE_LIMIT:
        raise Broken(f"an attribute has {length} bytes")
    size = disk.superblock.block_size
    header = 56 if v5 else 0
    data = mapped(disk, fork, block, -(-length // (size - header)))
    if not v5:
        return data[:length]
    value = []
    position = 0
    for start in range(0, len(data), size):
        magic, offset, count, owner = struct.unpack_from(">4sII20xQ", data, start)
        if magic != b"XARM" or offset != position or count > size - header or owner != number:
            raise Broken("a block of an attribute's value is none")
        value.append(data[start + header : start + header + count])
        position += count
    if position != length:
        raise Broken(f"an attribute has {position} bytes and says {length}")
    return b"".join(value)
