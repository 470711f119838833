"""Extended attributes: in the inode, in a block, and those whose values are files (ea_inode)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from douane_guest.budget import AttributeRoom
from douane_guest.errors import Broken

MAGIC = 0xEA020000
BLOCK_HEADER = 32
ENTRY = struct.Struct("<BBHIII")
"""Length of the name, index of its prefix, place of the value, its inode, its size, a hash."""
MAX_VALUE = 65536
"""XATTR_SIZE_MAX of the kernel."""
SYSTEM, SYSTEM_DATA = 7, (7, b"data")
"""Where the second part of an inline file is."""
PREFIXES = {
    0: b"",
    1: b"user.",
    2: b"system.posix_acl_access",
    3: b"system.posix_acl_default",
    4: b"trusted.",
    5: b"lustre.",
    6: b"security.",
    8: b"system.richacl",
}
"""Indexes 7 (inline data) and 9 (encryption) are not shown to programs."""
ACLS = (2, 3)


class Attribute(NamedTuple):
    """An attribute whose value may be in an inode of its own."""

    prefix: int
    name: bytes
    value: bytes
    inode: int
    size: int


def in_inode(raw: bytes) -> list[Attribute]:
    """The attributes behind the fields of an inode."""
    if len(raw) <= 128:
        return []
    start = 128 + (raw[128] | raw[129] << 8)
    if start == 128 or start + 4 > len(raw) or int.from_bytes(raw[start : start + 4], "little") != MAGIC:
        if start > len(raw):
            raise Broken("the fields of an inode are longer than the inode")
        return []
    return list(entries(raw[start + 4 :], 0))


def in_block(data: bytes) -> list[Attribute]:
    """The attributes of a block of attributes."""
    if int.from_bytes(data[:4], "little") != MAGIC or int.from_bytes(data[8:12], "little") != 1:
        raise Broken("a block of extended attributes has no magic number")
    return list(entries(data, BLOCK_HEADER))


def entries(data: bytes, place: int) -> Iterator[Attribute]:
    """The entries of a list of attributes that begins at `place`; values are at places in `data`."""
    room = AttributeRoom()
    while place + 4 <= len(data) and data[place : place + 4] != bytes(4):
        if place + ENTRY.size > len(data):
            raise Broken("an extended attribute does not fit its block")
        length, index, start, inode, size, _ = ENTRY.unpack_from(data, place)
        name = data[place + ENTRY.size : place + ENTRY.size + length]
        if len(name) < length or size > MAX_VALUE or (not inode and size and start + size > len(data)):
            raise Broken("an extended attribute does not fit its block")
        room.take(length + size)
        yield Attribute(index, name, b"" if inode else data[start : start + size], inode, size)
        place += ENTRY.size + (length + 3 & ~3)


def visible(attributes: list[Attribute], read_value: Callable[[int, int], bytes]) -> dict[bytes, bytes]:
    """What listxattr(2) and getxattr(2) show. `read_value`: the bytes of a value in an inode."""
    values: dict[bytes, bytes] = {}
    for attribute in attributes:
        prefix = PREFIXES.get(attribute.prefix)
        if prefix is None:
            continue
        name = prefix + attribute.name
        if name in values:
            raise Broken(f"an inode has the attribute {name!r} twice")
        value = read_value(attribute.inode, attribute.size) if attribute.inode else attribute.value
        values[name] = acl(value) if attribute.prefix in ACLS else value
    return values


def acl(stored: bytes) -> bytes:
    """An access control list as getxattr(2) shows it: ext4 leaves out the ids of entries that have none."""
    if len(stored) < 4 or stored[:4] != b"\x01\0\0\0":
        raise Broken("an access control list is not of version 1")
    converted = bytearray(b"\x02\0\0\0")
    place = 4
    while place < len(stored):
        tag = int.from_bytes(stored[place : place + 2], "little")
        length = 8 if tag in (2, 8) else 4  # a user or a group with its id
        if place + length > len(stored):
            raise Broken("an access control list is cut off")
        converted += stored[place : place + length]
        if length == 4:
            converted += b"\xff\xff\xff\xff"
        place += length
    return bytes(converted)
