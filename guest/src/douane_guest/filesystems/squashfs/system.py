"""The file system: folders, and the bytes of files."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from douane_guest.budget import Budget
from douane_guest.errors import Broken, only_guest_errors
from douane_guest.filesystems.base import BLOCK, CHAR, FILE, Entry, Node, Unread
from douane_guest.source import Source

from .folder import folder_entries
from .inode import NONE, Inode, device_numbers, read_inode
from .metadata import Metadata, Table
from .superblock import DECOMPRESS, NO_TABLE, read_superblock
from .xattrs import Xattrs

FRAGMENT = struct.Struct("<QII")
ID = struct.Struct("<I")
DOTS = 3
"""The size of a folder counts "." and "..", which are not stored, with three bytes."""

UNCOMPRESSED = 1 << 24
SIZES_AT_ONCE = 2048
PIECE = 64 << 10
"""Of a folder."""
FRAGMENTS_KEPT = 3


class Squashfs:
    """See :class:`~douane_guest.filesystems.base.FileSystem`."""

    name = "squashfs"
    uuid = ""
    label = ""
    clean = True

    def __init__(self, source: Source, budget: Budget) -> None:
        self.unread: list[Unread] = []
        self._source = source
        self._budget = budget
        self._super = block = read_superblock(source)
        self._decompress = DECOMPRESS[block.compression]
        self._metadata = Metadata(source, block.used, self._decompress, budget)
        self._ids = Table(source, self._metadata, block.id_table, block.ids, ID)
        self._fragments: Table | None = None
        self._xattrs: Xattrs | None = None
        self._tails: OrderedDict[int, bytes] = OrderedDict()
        self.root = block.root

    @only_guest_errors
    def node(self, ref: Any) -> Node:
        """See the protocol."""
        self._budget.step()
        head, kind, inode = read_inode(self._metadata, self._super.inode_table + (ref >> 16), ref & 0xFFFF)
        return Node(
            ref=ref,
            kind=kind,
            mode=head.mode & 0o7777,
            uid=self._ids[head.uid][0],
            gid=self._ids[head.gid][0],
            size=inode.size,
            mtime_ns=head.mtime * 1_000_000_000,
            links=inode.links,
            device=device_numbers(inode.device) if kind in (CHAR, BLOCK) else None,
            detail=inode,
        )

    @only_guest_errors
    def entries(self, node: Node) -> Iterator[Entry]:
        """See the protocol."""
        inode: Inode = node.detail
        if inode.size <= DOTS:
            return
        previous = b""
        for start, offset, name in folder_entries(self._pieces(inode)):
            if b"/" in name or b"\0" in name or name in (b".", b".."):
                raise Broken(f"a folder of the squashfs has the name {name!r}")
            if name <= previous:
                raise Broken(f"the names of a folder of the squashfs are not sorted, or {name!r} comes twice")
            previous = name
            yield Entry(name, start << 16 | offset)

    def _pieces(self, inode: Inode) -> Iterator[bytes]:
        """The bytes of a folder."""
        start, offset = self._super.folder_table + inode.start, inode.offset
        missing = inode.size - DOTS
        while missing:
            count = min(missing, PIECE)
            data, start, offset = self._metadata.read(start, offset, count)
            yield data
            missing -= count

    @only_guest_errors
    def target(self, node: Node) -> bytes:
        """See the protocol."""
        inode: Inode = node.detail
        target, _, _ = self._metadata.read(*inode.list_place, node.size)
        return target

    @only_guest_errors
    def chunks(self, node: Node, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """See the protocol."""
        inode: Inode = node.detail
        block_size = self._super.block_size
        in_tail = inode.size % block_size if inode.fragment != NONE else 0
        offset, place = 0, inode.start
        for size in self._block_sizes(inode, in_tail):
            expected = min(block_size, inode.size - in_tail - offset)
            count = size & (UNCOMPRESSED - 1)
            if count and offset + expected > start:
                yield offset, self._data(place, size, expected, expected)
            place += count
            offset += expected
        if in_tail:
            tail = self._tail(inode.fragment)[inode.offset : inode.offset + in_tail]
            if len(tail) != in_tail:
                raise Broken("the end of a file of the squashfs lies beyond its fragment")
            self._budget.deliver(in_tail)
            yield offset, tail

    def _block_sizes(self, inode: Inode, in_tail: int) -> Iterator[int]:
        """The list that stands behind the inode."""
        missing = -(-(inode.size - in_tail) // self._super.block_size)
        start, offset = inode.list_place
        while missing:
            count = min(missing, SIZES_AT_ONCE)
            self._budget.step(count)
            data, start, offset = self._metadata.read(start, offset, 4 * count)
            yield from struct.unpack(f"<{count}I", data)
            missing -= count

    def _data(self, place: int, size: int, limit: int, delivered: int) -> bytes:
        """A block of data; exactly `delivered` bytes if that is not 0."""
        self._budget.step(16)
        count = size & (UNCOMPRESSED - 1)
        if size >= UNCOMPRESSED << 1 or count > self._super.block_size or place + count > self._super.used:
            raise Broken(f"a block of {count} bytes lies at {place}, beyond the end of the squashfs, or is too large")
        self._budget.deliver(delivered)
        data = self._source.pread(place, count)
        if not size & UNCOMPRESSED:
            data = self._decompress(data, limit)
        if delivered and len(data) != delivered:
            raise Broken(f"a block of the squashfs has {len(data)} bytes instead of {delivered}")
        return data

    def _tail(self, number: int) -> bytes:
        """A block with the ends of files; the last three are kept."""
        if number not in self._tails:
            place, size, _ = self._fragment(number)
            self._tails[number] = self._data(place, size, self._super.block_size, 0)
            if len(self._tails) > FRAGMENTS_KEPT:
                self._tails.popitem(last=False)
        self._tails.move_to_end(number)
        return self._tails[number]

    def _fragment(self, number: int) -> tuple[int, ...]:
        if self._fragments is None:
            block = self._super
            self._fragments = Table(self._source, self._metadata, block.fragment_table, block.fragments, FRAGMENT)
        return self._fragments[number]

    @only_guest_errors
    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        """See the protocol."""
        number = node.detail.xattrs
        if number == NONE:
            return {}
        if self._xattrs is None:
            if self._super.xattr_table == NO_TABLE:
                raise Broken("an inode of the squashfs has extended attributes, and there is no table of them")
            self._xattrs = Xattrs(self._source, self._metadata, self._super.xattr_table, self._budget)
        return self._xattrs.read(number)

    @only_guest_errors
    def place(self, node: Node) -> int:
        """See the protocol. A file without a block of its own lies where its fragment does, so that those of one
        fragment are read behind one another and it is decompressed once."""
        if node.kind != FILE or not node.size:
            return 0
        inode: Inode = node.detail
        if inode.fragment == NONE or inode.size >= self._super.block_size:
            return inode.start
        return self._fragment(inode.fragment)[0]
