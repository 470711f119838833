"""An open ext file system."""

from __future__ import annotations

from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken, GuestError, Unsupported, only_guest_errors
from douane_guest.filesystems.base import FILE, FOLDER, LINK, Entry, Node, Unread, nodes_of
from douane_guest.filesystems.folding import Key
from douane_guest.source import Source

from . import attributes, directory, inodes, superblock
from .blocks import Blocks
from .fast_commits import Changes
from .inodes import ENCRYPTED, EXTENTS, FOLDED, INLINE, Inodes, flags_of
from .mapping import Run, extent_runs, indirect_runs
from .superblock import Superblock

PIECE = 1 << 20
INLINE_HEAD = 60
"""Bytes of an inline file, or of a tree's root, or of a short link, inside of the inode."""
MAX_BLOCK_NUMBER = 1 << 32


class ExtSystem:
    """See :class:`~douane_guest.filesystems.base.FileSystem`."""

    def __init__(self, source: Source, block: Superblock, budget: Budget) -> None:
        self.name = block.kind
        self.uuid = block.uuid_text
        self.label = block.label
        self.root = inodes.ROOT
        self.clean = True
        self.unread: list[Unread] = []
        self.source = source
        self._block = block
        self._budget = budget
        self._blocks = Blocks(source, block.block_size, block.blocks)
        self.inodes = Inodes(block, self._blocks)
        self.changes = Changes(self.inodes, self._blocks, budget)

    @only_guest_errors
    def node(self, ref: int) -> Node:
        """What stat(2) shows of an inode."""
        return self.inodes.node(ref)

    def nodes(self, refs: list[int]) -> list[Node | GuestError]:
        """See the base."""
        return nodes_of(self.inodes.node, refs)

    @only_guest_errors
    def entries(self, node: Node) -> Iterator[Entry]:
        """The entries of a folder."""
        if node.kind != FOLDER:
            raise Broken("only a folder has entries")
        flags = flags_of(node.detail)
        self._refuse_encrypted(flags, "the names in a folder")
        listed = self._entries(node, flags)
        if node.ref in self.changes.names or node.ref in self.changes.new_folders:
            listed = self.changes.changed_entries(node.ref, listed)
        yield from listed

    def key(self, node: Node) -> Key | None:
        """See the base."""
        if not flags_of(node.detail) & FOLDED:
            return None
        from .casefold import folded  # tables of Unicode, which few file systems need

        return folded

    @only_guest_errors
    def names(self, node: Node, wanted: bytes) -> Iterator[Entry]:
        """See the base. With "strict", the kernel finds no name in a folder that ignores case which is not UTF-8."""
        strict = self._block.strict_names and flags_of(node.detail) & FOLDED
        for entry in self.entries(node):
            if not strict or is_utf8(entry.name):
                yield entry

    def _entries(self, node: Node, flags: int) -> Iterator[Entry]:
        count = self._block.inodes
        if flags & INLINE:
            # Its first four bytes are the inode of the folder above; the second part is a list of its own.
            first, second = self._inline_parts(node)
            yield from directory.entries(first[4:], count, self._budget)
            yield from directory.entries(second, count, self._budget)
            return
        size = self._block.block_size
        if node.size % size:
            raise Broken("the size of a folder is not one of blocks")
        position, gaps = 0, False
        for run in self.runs(node.ref, node.detail, 0, node.size // size):
            gaps |= run.logical != position
            position = run.logical + run.length
            for number in range(run.physical, run.physical + run.length):
                yield from directory.entries(self._blocks.read(number), count, self._budget)
        if gaps or position < node.size // size:
            # Linux reads the names in unwritten blocks (fs/ext4/inode.c: ext4_getblk), of a file it would show zeros.
            raise Broken("a folder has holes, or blocks that were never written")

    @only_guest_errors
    def target(self, node: Node) -> bytes:
        """The target of a link: in the inode if it is short, else in its first block."""
        if node.kind != LINK:
            raise Broken("only a link has a target")
        raw: bytes = node.detail
        self._refuse_encrypted(flags_of(raw), "the target of a link")
        if not 0 < node.size <= self._block.block_size:
            raise Broken(f"a link has a target of {node.size} bytes")
        if flags_of(raw) & INLINE:
            target = b"".join(self._inline_parts(node))[: node.size]
        elif self._is_short(node):
            target = raw[40 : 40 + node.size] if node.size < INLINE_HEAD else b""
        else:
            target = b"".join(data for _, data in self._pieces(node, 0))
        if len(target) != node.size or b"\0" in target:
            raise Broken("the target of a link has not the length that its inode says")
        return target

    def _is_short(self, node: Node) -> bool:
        """True if a link has no block but the one of its attributes."""
        if self._block.incompat & superblock.EA_INODE:
            return node.size < INLINE_HEAD
        sectors = self.inodes.sectors(node.detail)
        return not sectors or (sectors == self._block.cluster_size // 512 and self._attribute_block(node) != 0)

    @only_guest_errors
    def chunks(self, node: Node, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """The bytes of a file; see :class:`~douane_guest.filesystems.base.FileSystem`."""
        if node.kind != FILE:
            raise Broken("only a file has bytes")
        flags = flags_of(node.detail)
        self._refuse_encrypted(flags, "a file")
        if flags & INLINE:
            data = b"".join(self._inline_parts(node))[: node.size]
            if data:
                yield 0, data
            return
        yield from self._pieces(node, start)

    def _pieces(self, node: Node, start: int) -> Iterator[tuple[int, bytes]]:
        size, end = self._block.block_size, node.size
        source, step = self.source, self._budget.step
        for run in self.runs(node.ref, node.detail, start // size, -(-end // size)):
            place, offset = run.physical * size, run.logical * size
            last = min(offset + run.length * size, end)
            if offset < start:
                skipped = (start - offset) // PIECE * PIECE
                place, offset = place + skipped, offset + skipped
            while offset < last:
                step()
                count = min(PIECE, last - offset)
                yield offset, source.pread(place, count)
                place, offset = place + count, offset + count

    def runs(self, number: int, raw: bytes, start: int, end: int) -> Iterator[Run]:
        """Where the blocks [start, end) of an inode are."""
        if number in self.changes.runs:
            return self.changes.changed_runs(number, start, end)
        walk = extent_runs if flags_of(raw) & EXTENTS else indirect_runs
        return walk(self._blocks, self._budget, raw[40:100], start, min(end, MAX_BLOCK_NUMBER))

    def all_runs(self, number: int) -> Iterator[Run]:
        """All blocks of an inode."""
        return self.runs(number, self.inodes.raw(number), 0, MAX_BLOCK_NUMBER)

    def size_of(self, raw: bytes) -> int:
        """The size of a file that no folder names."""
        return int.from_bytes(raw[4:8], "little") | int.from_bytes(raw[108:112], "little") << 32

    @only_guest_errors
    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        """Extended attributes, as getxattr(2) shows them."""
        return attributes.visible(self._attributes(node), self._attribute_value)

    def _attributes(self, node: Node) -> list[attributes.Attribute]:
        listed = attributes.in_inode(node.detail)
        number = self._attribute_block(node)
        if number:
            listed += attributes.in_block(self._blocks.read(number))
        return listed

    def _attribute_block(self, node: Node) -> int:
        return inodes.attribute_block(node.detail, self._block.hurd)

    def _attribute_value(self, number: int, size: int) -> bytes:
        """The bytes of a value that is a file of its own."""
        raw = self.inodes.raw(number)
        if not flags_of(raw) & inodes.EA_INODE or self.size_of(raw) != size:
            raise Broken(f"the inode {number} has not the value of an extended attribute")
        value = bytearray(size)
        block_size = self._block.block_size
        for run in self.runs(number, raw, 0, -(-size // block_size)):
            offset = run.logical * block_size
            count = min(run.length * block_size, size - offset)
            value[offset : offset + count] = self.source.pread(run.physical * block_size, count)
        return bytes(value)

    def _inline_parts(self, node: Node) -> tuple[bytes, bytes]:
        """The two parts of an inline file or folder: 60 bytes of the inode, and an attribute."""
        raw: bytes = node.detail
        for attribute in attributes.in_inode(raw):
            if (attribute.prefix, attribute.name) == attributes.SYSTEM_DATA:
                if attribute.inode:
                    raise Broken("the bytes of an inline file are in another inode")
                # A size beyond both parts means zeros: mke2fs writes a file of zeros in this way.
                return raw[40:100], attribute.value
        raise Broken("an inline file has no attribute with its bytes")

    @only_guest_errors
    def place(self, node: Node) -> int:
        """Where the bytes of a file begin; 0 for one that has none outside of its inode."""
        if node.kind != FILE or not node.size or flags_of(node.detail) & INLINE:
            return 0
        run = next(self.runs(node.ref, node.detail, 0, -(-node.size // self._block.block_size)), None)
        return run.physical * self._block.block_size if run else 0

    def _refuse_encrypted(self, flags: int, what: str) -> None:
        if flags & ENCRYPTED:
            raise Unsupported(f"{what} is encrypted, and its key is not in the image", "guest-encrypted")


def is_utf8(name: bytes) -> bool:
    """True if a name is text."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
