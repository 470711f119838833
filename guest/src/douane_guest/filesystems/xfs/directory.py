"""Folders in their four forms ("Directories" of the XFS book): in the inode, in a block, with leaves, with a tree.

The kernel lists a folder from its data blocks and looks a name up by the addresses in its leaves. An address that
points between the entries would be a file that can be opened and is not listed, so both must agree here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from douane_guest.budget import check_size
from douane_guest.errors import Broken
from douane_guest.filesystems.base import Entry

from .disk import Disk
from .fork import LOCAL, Fork, extents

_LEAVES_AT = 1 << 35
_FREE_AT = 1 << 36
"""Bytes of a folder from which on its leaves and its free space are stored."""

_PIECE = 256 << 10
_NODES = (b"\xfe\xbe", b"\x3e\xbe")
_LEAVES = (b"\xd2\xf1", b"\x3d\xf1", b"\xd2\xff", b"\x3d\xff")
_ENTRY = struct.Struct(">QB")


def entries(disk: Disk, fork: Fork, size: int) -> Iterator[Entry]:
    """The entries of a folder without "." and ".."."""
    if fork.format == LOCAL:
        yield from _short(disk, fork.data, size)
    else:
        yield from _blocks(disk, fork)


def _short(disk: Disk, data: bytes, size: int) -> Iterator[Entry]:
    """A folder in the inode: numbers have four bytes unless one needs eight."""
    if size > len(data) or size < 6:
        raise Broken(f"a folder has {size} bytes in an inode with place for {len(data)}")
    count, wide = data[0], data[1]
    width = 8 if wide else 4
    count = wide or count
    kind = 1 if disk.superblock.has_ftype else 0
    at = 2 + width
    disk.budget.step(count + 1)
    for _ in range(count):
        if at + 3 > size:
            raise Broken("a folder in an inode has more entries than bytes")
        start = at + 3
        number_at = start + data[at] + kind
        at = number_at + width
        if at > size:
            raise Broken("an entry of a folder ends behind the folder")
        yield Entry(_checked(data[start : number_at - kind]), int.from_bytes(data[number_at:at], "big"))
    if at != size:
        raise Broken("a folder in an inode has bytes behind its entries")


def _checked(name: bytes) -> bytes:
    if not name or b"/" in name or b"\0" in name or name in {b".", b".."}:
        raise Broken(f"a folder has an entry {name!r}")
    return name


class _Addresses:
    """Compares the addresses of the entries with those in the leaves: each must be there once on both sides.

    One bit for each possible address, turned by both sides. If no bit is left and the counts are equal, they agree.
    """

    def __init__(self) -> None:
        self.bits = bytearray()
        self.count = 0

    def room(self, end: int) -> None:
        """Make place for the addresses of a folder of `end` bytes."""
        needed = (end >> 6) + 1
        check_size(needed, "the list of a folder's addresses")
        if needed > len(self.bits):
            self.bits.extend(bytes(needed - len(self.bits)))

    def leaf(self, data: bytes, at: int, count: int) -> None:
        """The hashes and addresses of a leaf; an address of 0 is a deleted entry."""
        if at + count * 8 > len(data):
            raise Broken("a leaf of a folder has more entries than fit")
        bits, end = self.bits, len(self.bits) * 8
        for address in struct.unpack_from(f">{count * 2}I", data, at)[1::2]:
            if address:
                if address >= end:
                    raise Broken("a leaf of a folder points behind the folder")
                bits[address >> 3] ^= 1 << (address & 7)
                self.count -= 1

    def check(self) -> None:
        if self.count or any(self.bits):
            raise Broken("the leaves of a folder and its entries do not agree")


def _blocks(disk: Disk, fork: Fork) -> Iterator[Entry]:
    v5 = disk.superblock.version == 5
    addresses = _Addresses()
    single = False
    for number, (at, block) in enumerate(_directory_blocks(disk, fork)):
        magic = block[:4]
        if single or (at and not number):
            raise Broken("a folder of one block has more blocks, or begins with a hole")
        if at < _LEAVES_AT:
            single = magic == (b"XDB3" if v5 else b"XD2B")
            if not single and magic != (b"XDD3" if v5 else b"XD2D"):
                raise Broken("a block of a folder is none")
            _check_owner(disk, block, v5)
            end = _block_leaf(block, addresses, at) if single else len(block)
            if not single:
                addresses.room(at + len(block))
            yield from _data(disk, block, 64 if v5 else 16, end, at, addresses)
        elif at < _FREE_AT:
            _leaf(block, addresses, v5)
        elif magic != (b"XDF3" if v5 else b"XD2F"):
            raise Broken("a block with the free space of a folder is none")
    if not addresses.bits:
        raise Broken("a folder has no blocks")
    addresses.check()


def _check_owner(disk: Disk, block: bytes, v5: bool) -> None:
    if v5 and block[24:40] != disk.superblock.meta_uuid:
        raise Broken("a block of a folder belongs to another file system")


def _block_leaf(block: bytes, addresses: _Addresses, at: int) -> int:
    """Read the leaf at the end of the block of a small folder. Returns where the entries end."""
    addresses.room(at + len(block))
    count, _ = struct.unpack_from(">II", block, len(block) - 8)
    end = len(block) - 8 - count * 8
    if end < 16:
        raise Broken("the leaf of a small folder has more entries than fit")
    addresses.leaf(block, end, count)
    return int(end)


def _leaf(block: bytes, addresses: _Addresses, v5: bool) -> None:
    magic = block[8:10]
    if magic in _NODES:
        return
    if magic not in _LEAVES:
        raise Broken("a leaf of a folder is none")
    header = 64 if v5 else 16
    (count,) = struct.unpack_from(">H", block, 56 if v5 else 12)
    addresses.leaf(block, header, count)


def _data(disk: Disk, block: bytes, at: int, end: int, base: int, addresses: _Addresses) -> Iterator[Entry]:
    """The entries between two places in a block that begins at byte `base` of the folder."""
    kind = 1 if disk.superblock.has_ftype else 0
    bits = addresses.bits
    rounding = 9 + kind + 2 + 7
    unpack = _ENTRY.unpack_from
    step = disk.budget.step
    step()
    while at < end:
        if end - at < 8:
            raise Broken("an entry of a folder ends behind its block")
        if block[at : at + 2] == b"\xff\xff":
            length = int.from_bytes(block[at + 2 : at + 4], "big")
            if length < 8 or length & 7 or at + length > end:
                raise Broken("the free space in a block of a folder has an impossible length")
            at += length
            continue
        number, length = unpack(block, at)
        next_at = at + (length + rounding & ~7)
        if next_at > end or int.from_bytes(block[next_at - 2 : next_at], "big") != at:
            raise Broken("an entry of a folder ends behind its block, or has the wrong tag")
        name = block[at + 9 : at + 9 + length]
        address = base + at >> 3
        bits[address >> 3] ^= 1 << (address & 7)
        addresses.count += 1
        at = next_at
        step()
        if name in {b".", b".."}:
            continue
        if not name or b"/" in name or b"\0" in name:
            raise Broken(f"a folder has an entry {name!r}")
        yield Entry(name, number)


def _directory_blocks(disk: Disk, fork: Fork) -> Iterator[tuple[int, bytes]]:
    """The blocks of a folder, which can be larger than those of the file system, and where in it they begin."""
    log = disk.superblock.block_log
    size = disk.superblock.directory_block
    batch = max(_PIECE >> log, 1)
    waiting, next_at = b"", 0
    for extent in extents(disk, fork):
        if extent.unwritten:
            raise Broken("a folder has blocks that were not written")
        if waiting and extent.offset != next_at:
            raise Broken("a block of a folder has a hole")
        for start in range(0, extent.length, batch):
            count = min(batch, extent.length - start)
            at = (extent.offset + start << log) - len(waiting)
            if at & (size - 1):
                raise Broken("a block of a folder begins between two blocks")
            data = waiting + disk.blocks(extent.block + start, count)
            ready = len(data) & ~(size - 1)
            for begin in range(0, ready, size):
                yield at + begin, data[begin : begin + size]
            waiting = data[ready:]
        next_at = extent.offset + extent.length
    if waiting:
        raise Broken("the last block of a folder is not complete")
