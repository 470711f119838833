"""An open XFS."""

from __future__ import annotations

from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken, GuestError, only_guest_errors
from douane_guest.filesystems import folding
from douane_guest.filesystems.base import FILE, FOLDER, LINK, Entry, Node, Unread, nodes_of
from douane_guest.filesystems.folding import Key
from douane_guest.source import Source

from . import attributes, content, directory, inode, superblock
from .disk import Disk
from .log_replay import replayed


class Xfs:
    """See :class:`~douane_guest.filesystems.base.FileSystem`."""

    name = "xfs"

    def __init__(self, source: Source, budget: Budget) -> None:
        first = superblock.parse(source)
        overlay, self.clean, self.unread = replayed(Disk(source, first, budget))
        if overlay:
            source, first = overlay, superblock.parse(overlay, summed=False)
        self._superblock = first
        self._disk = Disk(source, first, budget)
        if first.realtime_blocks:
            self.unread.append(Unread("realtime section", "guest-unknown", "its files are on another device"))
        self.uuid = first.uuid_text
        self.label = first.label
        self.root = first.root

    @only_guest_errors
    def node(self, ref: int) -> Node:
        return self._node(ref)

    def _node(self, ref: int) -> Node:
        return inode.parse(self._disk.inode(ref), ref, self._superblock)

    def nodes(self, refs: list[int]) -> list[Node | GuestError]:
        """See the base."""
        return nodes_of(self._node, refs)

    @only_guest_errors
    def entries(self, node: Node) -> Iterator[Entry]:
        if node.kind != FOLDER:
            raise Broken(f"inode {node.ref} is no folder")
        yield from directory.entries(self._disk, node.detail.data_fork, node.size)

    def key(self, node: Node) -> Key | None:
        """See the base."""
        return folding.latin1 if self._superblock.ignores_case else None

    @only_guest_errors
    def target(self, node: Node) -> bytes:
        if node.kind != LINK:
            raise Broken(f"inode {node.ref} is no link")
        return content.target(self._disk, node)

    @only_guest_errors
    def chunks(self, node: Node, start: int = 0) -> Iterator[tuple[int, bytes]]:
        if node.kind != FILE:
            raise Broken(f"inode {node.ref} is no file")
        yield from content.chunks(self._disk, node, start)

    @only_guest_errors
    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        fork = node.detail.attribute_fork
        return attributes.xattrs(self._disk, fork, node.ref) if fork else {}

    @only_guest_errors
    def place(self, node: Node) -> int:
        return content.place(self._disk, node)
