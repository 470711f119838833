"""Inodes: seven kinds, each in a short and in an extended shape."""

from __future__ import annotations

import struct
from typing import NamedTuple

from douane_guest.errors import Broken
from douane_guest.filesystems.base import BLOCK, CHAR, FIFO, FILE, FOLDER, LINK, SOCKET

from .metadata import Metadata

HEAD = struct.Struct("<HHHHII")
NONE = 0xFFFF_FFFF
KINDS = {1: FOLDER, 2: FILE, 3: LINK, 4: BLOCK, 5: CHAR, 6: FIFO, 7: SOCKET}
EXTENDED = 7
"""An extended shape has the number of the short one plus seven."""

BODIES = {
    1: struct.Struct("<IIHHI"),
    2: struct.Struct("<IIII"),
    3: struct.Struct("<II"),
    4: struct.Struct("<II"),
    5: struct.Struct("<II"),
    6: struct.Struct("<I"),
    7: struct.Struct("<I"),
    8: struct.Struct("<IIIIHHI"),
    9: struct.Struct("<QQQIIII"),
    10: struct.Struct("<II"),
    11: struct.Struct("<III"),
    12: struct.Struct("<III"),
    13: struct.Struct("<II"),
    14: struct.Struct("<II"),
}
LONGEST_TARGET = 65_535


class Inode(NamedTuple):
    """What the reader keeps of one; `start` and `offset` mean what its kind says."""

    start: int = 0
    """A file: of its first block. A folder: of its metadata block, from the table of folders on."""

    offset: int = 0
    """A folder: in that block. A file: in its fragment."""

    fragment: int = NONE
    size: int = 0
    links: int = 1
    device: int = 0
    xattrs: int = NONE
    list_place: tuple[int, int] = (0, 0)
    """Where the list of blocks, or the target of the link, stands."""


class Head(NamedTuple):
    type: int
    mode: int
    uid: int
    gid: int
    mtime: int
    number: int


def read_inode(metadata: Metadata, start: int, offset: int) -> tuple[Head, str, Inode]:
    """The inode at that place. Raises Broken."""
    data, start, offset = metadata.read(start, offset, HEAD.size)
    head = Head._make(HEAD.unpack(data))
    shape = BODIES.get(head.type)
    if shape is None:
        raise Broken(f"an inode of the squashfs has type {head.type}")
    kind = KINDS[head.type if head.type <= EXTENDED else head.type - EXTENDED]
    data, start, offset = metadata.read(start, offset, shape.size)
    inode = READ[kind](head.type > EXTENDED, shape.unpack(data), (start, offset))
    if kind == LINK:
        inode = read_link_end(metadata, head.type > EXTENDED, inode)
    return head, kind, inode


def folder_inode(extended: bool, body: tuple[int, ...], _end: tuple[int, int]) -> Inode:
    if extended:
        links, size, start, _parent, _indexes, offset, xattrs = body
        return Inode(start=start, offset=offset, size=size, links=links, xattrs=xattrs)
    start, links, size, offset, _parent = body
    return Inode(start=start, offset=offset, size=size, links=links)


def file_inode(extended: bool, body: tuple[int, ...], list_place: tuple[int, int]) -> Inode:
    if extended:
        start, size, _sparse, links, fragment, offset, xattrs = body
        return Inode(start, offset, fragment, size, links, xattrs=xattrs, list_place=list_place)
    start, fragment, offset, size = body
    return Inode(start, offset, fragment, size, list_place=list_place)


def link_inode(_extended: bool, body: tuple[int, ...], list_place: tuple[int, int]) -> Inode:
    links, size = body
    if not 0 < size <= LONGEST_TARGET:
        raise Broken(f"a link of the squashfs has a target of {size} bytes")
    return Inode(size=size, links=links, list_place=list_place)


def device_inode(extended: bool, body: tuple[int, ...], _end: tuple[int, int]) -> Inode:
    return Inode(links=body[0], device=body[1], xattrs=body[2] if extended else NONE)


def pipe_inode(extended: bool, body: tuple[int, ...], _end: tuple[int, int]) -> Inode:
    return Inode(links=body[0], xattrs=body[1] if extended else NONE)


READ = {
    FOLDER: folder_inode,
    FILE: file_inode,
    LINK: link_inode,
    BLOCK: device_inode,
    CHAR: device_inode,
    FIFO: pipe_inode,
    SOCKET: pipe_inode,
}


def read_link_end(metadata: Metadata, extended: bool, inode: Inode) -> Inode:
    """The number of the attributes stands behind the target."""
    if not extended:
        return inode
    _, start, offset = metadata.read(*inode.list_place, inode.size)
    data, _, _ = metadata.read(start, offset, 4)
    return inode._replace(xattrs=int.from_bytes(data, "little"))


def device_numbers(device: int) -> tuple[int, int]:
    """Major and minor, as Linux packs them in 32 bits (new_decode_dev)."""
    return (device >> 8) & 0xFFF, (device & 0xFF) | ((device >> 12) & 0xFFF00)
