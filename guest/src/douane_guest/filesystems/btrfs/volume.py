"""An open btrfs: see `base.FileSystem`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from douane_guest.budget import Budget
from douane_guest.errors import DAMAGE, Broken, GuestError, Unsupported, only_guest_errors
from douane_guest.filesystems.base import BATCH, FILE, FOLDER, LINK, Children, Entry, Node, Unread, nodes_of
from douane_guest.source import Source

from .chunks import Chunk, ChunkMap, parse_chunk, system_chunks
from .directory import compared_names, plain_names
from .extents import INLINE, FileReader
from .inode import named_parts, parse_inode, parse_inodes
from .keys import CHUNK_ITEM, CHUNK_TREE_OBJECT, FIRST_FREE, INODE_ITEM, LAST, XATTR_ITEM
from .log import replay
from .nodes import NodeReader
from .subvolumes import Subvolume, Subvolumes
from .superblock import Superblock, read_superblock
from .tree import Items, Tree

_MAX_TARGET = 4095
_XATTRS_BYTES = 1 << 20
"""Of one inode; the kernel lists at most 64 KiB of names, and an attribute is smaller than a node."""

Ref = tuple[int, ...]
"""Numbers of the tree and of the inode; a third one for the place of a subvolume that is elsewhere."""

_PLACE = 2
"""The inode of an empty folder in place of a subvolume: BTRFS_EMPTY_SUBVOL_DIR_OBJECTID."""


class Btrfs:
    """The default subvolume is the root. Subvolumes below it are folders; `subvolumes` lists all."""

    name = "btrfs"

    def __init__(self, source: Source, budget: Budget) -> None:
        superblock = read_superblock(source)
        if superblock.devices != 1:
            raise Unsupported(f"btrfs on {superblock.devices} devices is not read: this is one of them")
        self.uuid = superblock.uuid
        self.label = superblock.label
        self.clean = not superblock.log_root
        self.unread: list[Unread] = []
        self._budget = budget
        self._chunks = ChunkMap(source, budget)
        nodes = NodeReader(self._chunks, superblock, budget)
        self._chunks.replace(system_chunks(superblock.system_chunks, superblock.device))
        self._chunks.replace(iter(list(_chunks(nodes, superblock))))
        self._files = FileReader(self._chunks, superblock.sector_size, budget)
        self._subvolumes = Subvolumes(nodes, superblock, budget)
        if superblock.log_root:
            self._replay(nodes, superblock)
        self.root: Ref = (self._subvolumes.default(), FIRST_FREE)
        if self.node(self.root).kind != FOLDER:
            raise Broken("the root of the default subvolume is not a folder")

    def _replay(self, nodes: NodeReader, superblock: Superblock) -> None:
        try:
            replay_safely(nodes, superblock, self._subvolumes, self._budget)
        except GuestError as error:
            why = f"files that were synced last are in a log tree, which cannot be replayed: {error.why}"
            self.unread.append(Unread("btrfs", "guest-unclean", why))

    @only_guest_errors
    def subvolumes(self) -> Iterator[Subvolume]:
        """All subvolumes and snapshots, also those outside of the default one: the top level, `ref` (5, 256), first."""
        yield from self._subvolumes.subvolumes()

    @only_guest_errors
    def node(self, ref: Ref) -> Node:
        """See `base.FileSystem`."""
        return self._node(ref)

    def nodes(self, refs: list[Ref]) -> list[Node | GuestError]:
        """See the base."""
        try:
            return self._plain_nodes(refs)
        except (GuestError, *DAMAGE):
            return nodes_of(self._node, refs)

    def _plain_nodes(self, refs: list[Ref]) -> list[Node | GuestError]:
        """In the order of their numbers, many are in the leaf of the one before. Raises whatever is wrong with any."""
        ordered = sorted(set(refs))
        trees, numbers = zip(*ordered, strict=True)
        if trees[0] != trees[-1]:
            raise Broken("not all are inodes of the same tree")
        nodes = dict(zip(ordered, self._nodes_of(trees[0], numbers), strict=True))
        return [nodes[ref] for ref in refs]

    def _nodes_of(self, tree: int, numbers: Iterable[int]) -> list[Node]:
        """The inodes with numbers that ascend."""
        items = self._subvolumes.tree(tree).find_all([(number, INODE_ITEM, 0) for number in numbers])
        return parse_inodes(tree, numbers, items)

    def children(self, node: Node) -> Iterator[Children] | None:
        """See the base: of a folder as most are."""
        try:
            plain = self._plain_names(node)
        except (GuestError, *DAMAGE):
            return None
        return None if plain is None else self._children(node.ref[0], plain)

    def _children(self, tree: int, plain: list[tuple[bytes, int]]) -> Iterator[Children]:
        for start in range(0, len(plain), BATCH):
            names, numbers = zip(*plain[start : start + BATCH], strict=True)
            try:
                nodes: list[Node | GuestError] = [*self._nodes_of(tree, numbers)]
            except (GuestError, *DAMAGE):
                nodes = nodes_of(self._node, [(tree, number) for number in numbers])
            yield list(names), nodes

    def _plain_names(self, node: Node) -> list[tuple[bytes, int]] | None:
        if node.kind != FOLDER or len(node.ref) > 2:
            return None
        tree, folder = node.ref
        return plain_names(self._subvolumes.tree(tree), folder, self._budget)

    def _node(self, ref: Ref) -> Node:
        if len(ref) > 2:
            return Node(ref, FOLDER, 0o755, 0, 0, 0, 0)
        item = self._subvolumes.tree(ref[0]).find((ref[1], INODE_ITEM, 0))
        if item is None:
            raise Broken(f"inode {ref[1]} of subvolume {ref[0]} is not there")
        return parse_inode(ref, item)

    @only_guest_errors
    def entries(self, node: Node) -> Iterator[Entry]:
        """See `base.FileSystem`."""
        if node.kind != FOLDER:
            raise Broken("it is not a folder")
        if len(node.ref) > 2:
            return iter(())
        plain = self._plain_names(node)
        tree, folder = node.ref
        if plain is None:
            return self._compared(tree, folder)
        return (Entry(name, (tree, number)) for name, number in plain)

    @only_guest_errors
    def _compared(self, tree: int, folder: int) -> Iterator[Entry]:
        for name, number, is_subvolume in compared_names(self._subvolumes.tree(tree), folder, self._budget):
            if not is_subvolume:
                yield Entry(name, (tree, number))
            elif self._subvolumes.is_linked(tree, folder, name, number):
                yield Entry(name, (number, FIRST_FREE))
            else:
                yield Entry(name, (tree, _PLACE, number))

    @only_guest_errors
    def target(self, node: Node) -> bytes:
        """See `base.FileSystem`."""
        if node.kind != LINK or node.size > _MAX_TARGET:
            raise Broken(f"inode {node.ref[1]} is no link, or has a target of {node.size} bytes")
        target = b"".join(data for _, data in self._pieces(node, 0))
        if len(target) != node.size or b"\0" in target or not target:
            raise Broken(f"the target of link {node.ref[1]} has {node.size} bytes, of which {len(target)} are there")
        return target

    @only_guest_errors
    def chunks(self, node: Node, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """See `base.FileSystem`."""
        if node.kind != FILE:
            raise Broken("it is not a file")
        yield from self._pieces(node, start)

    def _pieces(self, node: Node, start: int) -> Iterator[tuple[int, bytes]]:
        yield from self._files.chunks(self._tree(node), node.ref[1], node.size, start)

    def _tree(self, node: Node) -> Items:
        return self._subvolumes.tree(node.ref[0])

    @only_guest_errors
    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        """See `base.FileSystem`."""
        if len(node.ref) > 2:
            return {}
        attributes: dict[bytes, bytes] = {}
        total = 0
        number = node.ref[1]
        for _, item in self._tree(node).items((number, XATTR_ITEM, 0), (number, XATTR_ITEM, LAST)):
            total += len(item)
            self._budget.step()
            if total > _XATTRS_BYTES:
                raise Broken(f"inode {number} has more attributes than the kernel lists")
            for name, value, _, _, _ in named_parts(item):
                if not name or b"\0" in name or name in attributes:
                    raise Broken(f"inode {number} has the attribute {name!r} twice, or without a name")
                attributes[name] = value
        return attributes

    @only_guest_errors
    def place(self, node: Node) -> int:
        """See `base.FileSystem`."""
        if node.kind != FILE or not node.size:
            return 0
        number = node.ref[1]
        try:
            for extent in self._files.extents(self._tree(node), number):
                if extent.kind == INLINE:
                    return 0
                if extent.address:
                    return self._chunks.places(extent.address, 1)[0][0]
        except GuestError:
            return 0
        return 0


replay_safely = only_guest_errors(replay)


def _chunks(nodes: NodeReader, superblock: Superblock) -> Iterator[Chunk]:
    tree = Tree(nodes, superblock.chunk_root, superblock.chunk_root_level, superblock.chunk_root_generation)
    first, last = (CHUNK_TREE_OBJECT, CHUNK_ITEM, 0), (CHUNK_TREE_OBJECT, CHUNK_ITEM, LAST)
    for key, item in tree.items(first, last):
        yield parse_chunk(key[2], item, superblock.device)
