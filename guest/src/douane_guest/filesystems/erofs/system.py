"""The file system: inodes, folders, and the bytes of files."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from douane_guest.budget import Budget, check_size
from douane_guest.errors import Broken, only_guest_errors
from douane_guest.filesystems.base import BLOCK, CHAR, FILE, KINDS, Entry, Node, Unread
from douane_guest.headers.crc32c import crc32c
from douane_guest.source import BytesSource, Source, Window, check_range

from . import xattrs
from .compressed import CompressedFile, PackedFile
from .inode import (
    INODE_STEP,
    LAYOUT_CHUNKS,
    LAYOUT_COMPACT,
    LAYOUT_FULL,
    LAYOUT_INLINE,
    LAYOUT_PLAIN,
    LONG,
    Inode,
    device_numbers,
    inode_of,
)
from .stored import Stored
from .superblock import (
    FRAGMENTS,
    PLACE,
    PREFIXES_ARE_PLAIN,
    ZERO_PADDED,
    read_superblock,
    uuid_of,
)

HAS_CHECKSUM = 1
DIRENT = struct.Struct("<QHBx")
COMPRESSED = (LAYOUT_FULL, LAYOUT_COMPACT)
LONGEST_TARGET = 4096
BLOCKS_KEPT = 256


class Erofs:
    """See :class:`~douane_guest.filesystems.base.FileSystem`."""

    name = "erofs"
    clean = True

    def __init__(self, source: Source, budget: Budget) -> None:
        self.unread: list[Unread] = []
        self._source = source
        self._budget = budget
        self._super = block = read_superblock(source)
        self._block_size = 1 << block.block_log
        self._check_sum()
        if block.devices:
            why = f"the erofs has {block.devices} more devices, which are not read"
            self.unread.append(Unread("other devices", "guest-unknown", why))
        self._epoch_ns = block.epoch * 1_000_000_000 + block.nanoseconds
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._prefixes: list[bytes] | None = None
        self._packed_source: Source | None = None
        self._stored = Stored(source, block.block_log, block.devices, budget)
        self.uuid = uuid_of(block)
        self.label = block.label.split(b"\0")[0].decode("utf-8", "replace")
        self.root = block.root

    def _check_sum(self) -> None:
        """The checksum is over the first block from the superblock on, with zeros in its own place."""
        if not self._super.compatible & HAS_CHECKSUM:
            return
        count = self._block_size - PLACE if self._block_size > PLACE else self._block_size
        data = self._source.pread(PLACE, count)
        if ~crc32c(data[:4] + bytes(4) + data[8:]) & 0xFFFF_FFFF != self._super.checksum:
            raise Broken("the superblock of the erofs does not have its checksum")

    def _read(self, place: int, count: int) -> bytes:
        """Bytes of a structure, by way of the last 256 blocks that were read."""
        number, offset = divmod(place, self._block_size)
        if offset + count > self._block_size or (number + 1) * self._block_size > self._source.size:
            check_size(count, "a structure of the erofs")
            return self._source.pread(place, count)
        data = self._blocks.get(number)
        if data is None:
            self._budget.step(4)
            data = self._blocks[number] = self._source.pread(number * self._block_size, self._block_size)
            if len(self._blocks) > BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        return data[offset : offset + count]

    @only_guest_errors
    def node(self, ref: Any) -> Node:
        """See the protocol."""
        self._budget.step()
        inode = self._inode(ref)
        kind = KINDS.get(inode.mode & 0o170000)
        if kind is None:
            raise Broken(f"an inode of the erofs has mode {inode.mode:o}")
        is_device = kind in (CHAR, BLOCK)
        return Node(
            ref=ref,
            kind=kind,
            mode=inode.mode & 0o7777,
            uid=inode.uid,
            gid=inode.gid,
            size=inode.size,
            mtime_ns=inode.mtime_ns,
            links=inode.links,
            device=device_numbers(inode.word) if is_device else None,
            detail=inode,
        )

    def _inode(self, number: int) -> Inode:
        place = (self._super.inode_block << self._super.block_log) + number * INODE_STEP
        check_range(self._source, place, INODE_STEP)
        data = self._read(place, INODE_STEP)
        if data[0] & 1:
            data += self._read(place + INODE_STEP, LONG.size - INODE_STEP)
        return inode_of(data, place, self._epoch_ns)

    @only_guest_errors
    def entries(self, node: Node) -> Iterator[Entry]:
        """See the protocol."""
        data = self._small_file(node.detail, "a folder of the erofs")
        previous = b""
        for start in range(0, len(data), self._block_size):
            for name, number in self._dirents(data[start : start + self._block_size]):
                if not name or b"/" in name or name <= previous:
                    raise Broken(f"a folder of the erofs has the name {name!r}, or has it twice, or is not sorted")
                previous = name
                if name not in (b".", b".."):
                    yield Entry(name, number)

    def _dirents(self, block: bytes) -> Iterator[tuple[bytes, int]]:
        """The names and inodes of a block of a folder."""
        (_, first, _) = DIRENT.unpack_from(block)
        if first < DIRENT.size or first % DIRENT.size or first > len(block):
            raise Broken("a block of a folder of the erofs has no entries")
        dirents = list(DIRENT.iter_unpack(block[:first]))
        self._budget.step(len(dirents))
        ends = [offset for _, offset, _ in dirents[1:]] + [len(block)]
        for (number, offset, _), end in zip(dirents, ends, strict=True):
            if not first <= offset < end <= len(block):
                raise Broken("the names of a folder of the erofs are not in their order")
            name = block[offset:end]
            if end == len(block):
                name = name.rstrip(b"\0")
            if b"\0" in name:
                raise Broken(f"a folder of the erofs has the name {name!r}")
            yield name, number

    def _small_file(self, inode: Inode, what: str) -> bytes:
        check_size(inode.size, what)
        data = bytearray(inode.size)
        for offset, piece in self._chunks(inode, 0):
            data[offset : offset + len(piece)] = piece
        return bytes(data)

    @only_guest_errors
    def target(self, node: Node) -> bytes:
        """See the protocol."""
        if not 0 < node.size <= LONGEST_TARGET:
            raise Broken(f"a link of the erofs has a target of {node.size} bytes")
        return self._small_file(node.detail, "a link of the erofs")

    @only_guest_errors
    def chunks(self, node: Node, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """See the protocol."""
        for offset, data in self._chunks(node.detail, start):
            self._budget.deliver(len(data))
            yield offset, data

    def _chunks(self, inode: Inode, start: int) -> Iterator[tuple[int, bytes]]:
        if not inode.size:
            return
        if inode.layout in COMPRESSED:
            yield from self._compressed(inode).chunks(start)
        elif inode.layout == LAYOUT_CHUNKS:
            yield from self._stored.chunked(inode, start)
        else:
            yield from self._stored.flat(inode, start)

    def _compressed(self, inode: Inode) -> CompressedFile:
        padded = bool(self._super.features & ZERO_PADDED)
        return CompressedFile(
            self._source, inode, self._super.block_log, self._budget, padded=padded, packed=self._packed
        )

    def _packed(self, offset: int, count: int) -> bytes:
        """Bytes of the packed inode. Raises Broken if there is none."""
        if self._packed_source is None:
            if not self._super.features & FRAGMENTS or not self._super.packed:
                raise Broken("a file of the erofs ends in the packed inode, and there is none")
            inode = self._inode(self._super.packed)
            if inode.layout in COMPRESSED:
                self._packed_source = PackedFile(self._compressed(inode), inode.size)
            elif inode.layout == LAYOUT_PLAIN:
                self._packed_source = Window(self._source, inode.word << self._super.block_log, inode.size)
            else:
                self._packed_source = BytesSource(self._small_file(inode, "the packed inode of the erofs"))
        return self._packed_source.pread(offset, count)

    @only_guest_errors
    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        """See the protocol."""
        place, size = node.detail.xattrs
        if not size:
            return {}
        data = self._read(place, size)
        shared_start = self._super.xattr_block << self._super.block_log
        attributes: dict[bytes, bytes] = {}
        for name, value in (
            *xattrs.inline_entries(data, self._prefix, self._budget),
            *xattrs.shared_entries(data, shared_start, self._read, self._prefix, self._budget),
        ):
            if name in attributes:
                raise Broken(f"the extended attribute {name!r} comes twice")
            attributes[name] = value
        return attributes

    def _prefix(self, index: int) -> bytes:
        if not index & xattrs.LONG_PREFIX:
            return xattrs.short_prefix(index)
        if self._prefixes is None:
            block = self._super
            in_packed = block.features & FRAGMENTS and block.packed and not block.compatible & PREFIXES_ARE_PLAIN
            read = self._packed if in_packed else self._read
            self._prefixes = xattrs.long_prefixes(block.prefixes, block.prefix_start * 4, read)
        return self._prefixes[index & ~xattrs.LONG_PREFIX]

    def place(self, node: Node) -> int:
        """See the protocol."""
        inode: Inode = node.detail
        if node.kind != FILE or not inode.size:
            return 0
        flat = inode.layout in (LAYOUT_PLAIN, LAYOUT_INLINE) and inode.size > self._block_size
        return inode.word << self._super.block_log if flat else inode.after
