"""File entries, and the extents that they list."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from douane_guest.budget import Budget, check_size
from douane_guest.errors import Broken, Unsupported
from douane_guest.filesystems.base import BLOCK, CHAR, FIFO, FILE, FOLDER, LINK, SOCKET

from .descriptors import FILE as FILE_ENTRY
from .descriptors import LONG_FILE, MORE_EXTENTS, SIZE_MASK, Address, expect, long_address, nanoseconds

KINDS = {0: FILE, 4: FOLDER, 5: FILE, 6: BLOCK, 7: CHAR, 9: FIFO, 10: SOCKET, 12: LINK, 249: FILE}
SHORT, LONG, EXTENDED, INSIDE = range(4)
HEAD = struct.Struct("<36xIIIH6xQ")
SHORT_ADDRESS = struct.Struct("<II")
EXTENDED_ADDRESS = struct.Struct("<IIIIH2x")
LENGTHS = struct.Struct("<II")
NEXT_EXTENT = 3
NOBODY = 65_534
"""The owner that Linux shows where none is recorded."""

NOT_RECORDED = 0xFFFF_FFFF
SET_BITS = ((0x40, 0o4000), (0x80, 0o2000), (0x100, 0o1000))
DEVICE_ATTRIBUTE = 12


class FileEntry(NamedTuple):
    """A file, a folder, or another object."""

    type: int
    flags: int
    mode: int
    uid: int
    gid: int
    links: int
    size: int
    mtime_ns: int
    attributes: bytes
    addresses: bytes
    """The list of extents; or the bytes of the file themselves."""

    partition: int

    @property
    def kind(self) -> str:
        """Raises Broken for one that is not in folders."""
        if self.type not in KINDS:
            raise Broken(f"an object of the UDF has the type {self.type}")
        return KINDS[self.type]


def entry_of(block: bytes, location: int, partition: int) -> FileEntry:
    """The entry in a block. Raises Broken."""
    is_long = expect(block, location, FILE_ENTRY, LONG_FILE) == LONG_FILE
    uid, gid, permissions, links, size = HEAD.unpack_from(block)
    flags = int.from_bytes(block[34:36], "little")
    at = 208 if is_long else 168
    attributes, addresses = LENGTHS.unpack_from(block, at)
    start = at + LENGTHS.size
    end = start + attributes + addresses
    if end > len(block):
        raise Broken("an entry of a file of the UDF does not fit in its block")
    mode = permissions & 7 | permissions >> 2 & 0o70 | permissions >> 4 & 0o700
    return FileEntry(
        type=block[27],
        flags=flags,
        mode=mode | sum(bit for flag, bit in SET_BITS if flags & flag),
        uid=NOBODY if uid == NOT_RECORDED else uid,
        gid=NOBODY if gid == NOT_RECORDED else gid,
        links=links,
        size=size,
        mtime_ns=nanoseconds(block, 92 if is_long else 84),
        attributes=block[start : start + attributes],
        addresses=block[start + attributes : end],
        partition=partition,
    )


def addresses_in(data: bytes, kind: int, partition: int) -> Iterator[Address]:
    """The extents of a list, up to its end or one that is empty."""
    if kind == SHORT:
        usable = len(data) // SHORT_ADDRESS.size * SHORT_ADDRESS.size
        for size, block in SHORT_ADDRESS.iter_unpack(data[:usable]):
            yield Address(size >> 30, size & SIZE_MASK, block, partition)
    elif kind == LONG:
        for position in range(0, len(data) - 15, 16):
            yield long_address(data, position)
    elif kind == EXTENDED:
        usable = len(data) // EXTENDED_ADDRESS.size * EXTENDED_ADDRESS.size
        for size, recorded, information, block, number in EXTENDED_ADDRESS.iter_unpack(data[:usable]):
            if not size >> 30 and not (recorded & SIZE_MASK) == information == size & SIZE_MASK:
                raise Unsupported("a file of the UDF is compressed or padded")
            yield Address(size >> 30, size & SIZE_MASK, block, number)


Read = Callable[[int, int, int], bytes]
"""Reads `size` bytes at a block of a partition: partition, block, size."""


def extents_of(entry: FileEntry, read: Read, block_size: int, budget: Budget) -> Iterator[tuple[int, Address]]:
    """The extents of a file with their offsets in it. Raises Broken, TooMuch and Unsupported."""
    kind = entry.flags & 7
    if kind > EXTENDED:
        raise Broken(f"a file of the UDF has extents of the kind {kind}")
    data, offset = entry.addresses, 0
    while data:
        following = b""
        for address in addresses_in(data, kind, entry.partition):
            budget.step()
            if not address.size or offset >= entry.size:
                return
            if address.kind == NEXT_EXTENT:
                following = more_extents(address, read, block_size)
                break
            yield offset, address
            offset += address.size
        data = following
    if offset < entry.size:
        raise Broken("the extents of a file of the UDF end before the file")


def more_extents(address: Address, read: Read, block_size: int) -> bytes:
    size = min(address.size, block_size)
    check_size(size, "a list of extents of the UDF")
    block = read(address.partition, address.block, size)
    expect(block, address.block, MORE_EXTENTS)
    length = int.from_bytes(block[20:24], "little")
    if 24 + length > len(block):
        raise Broken("a list of extents of the UDF does not fit in its extent")
    return block[24 : 24 + length]


def device_of(entry: FileEntry) -> tuple[int, int] | None:
    """Major and minor number, from the extended attributes."""
    position = 24
    while position + 24 <= len(entry.attributes):
        kind, length = struct.unpack_from("<I4xI", entry.attributes, position)
        if kind == DEVICE_ATTRIBUTE:
            major, minor = LENGTHS.unpack_from(entry.attributes, position + 16)
            return major, minor
        if length < 12:
            raise Broken("an extended attribute of the UDF is damaged")
        position += length
    return None
