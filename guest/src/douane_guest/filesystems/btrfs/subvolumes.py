"""Subvolumes and snapshots: their trees, and where they are among the folders."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken

from .directory import name_hash
from .inode import INODE, named_parts
from .keys import (
    DIR_ITEM,
    FIRST_FREE,
    INODE_EXTREF,
    INODE_REF,
    LAST,
    LAST_FREE,
    ROOT_BACKREF,
    ROOT_ITEM,
    ROOT_REF,
    TOP_LEVEL,
)
from .nodes import NodeReader
from .superblock import MAX_LEVEL, Superblock
from .tree import Items, Tree

_ROOT = struct.Struct("<QQQQQQQI17sBB")
_IDS = struct.Struct("<Q16s16s16s")
_REFERENCE = struct.Struct("<QQH")
_READ_ONLY = 1
_TREES = 16


class Subvolume(NamedTuple):
    """A subvolume or snapshot."""

    number: int
    path: bytes
    """From the top level on, without a leading slash; empty for the top level itself."""

    ref: tuple[int, int]
    """Of its root folder: `FileSystem.node` takes it."""

    read_only: bool
    uuid: bytes
    """16 bytes; zeros if it has none."""

    parent_uuid: bytes
    """Of a snapshot, what it was taken of; else zeros."""


class Root(NamedTuple):
    """The item of a tree."""

    address: int
    level: int
    generation: int
    flags: int
    references: int
    uuid: bytes
    parent_uuid: bytes


def parse_root(number: int, item: bytes) -> Root:
    """An item of the root tree."""
    if len(item) < INODE.size + _ROOT.size:
        raise Broken(f"the root of tree {number} has an item of {len(item)} bytes")
    generation, folder, address, _, _, _, flags, references, _, _, level = _ROOT.unpack_from(item, INODE.size)
    if level > MAX_LEVEL:
        raise Broken(f"tree {number} has {level} levels")
    if folder not in (0, FIRST_FREE):
        raise Broken(f"tree {number} has its root folder in inode {folder}")
    uuid = parent = bytes(16)
    if len(item) >= INODE.size + _ROOT.size + _IDS.size:
        second, uuid, parent, _ = _IDS.unpack_from(item, INODE.size + _ROOT.size)
        if second != generation:  # a kernel without these fields wrote the item last
            uuid = parent = bytes(16)
    return Root(address, level, generation, flags, references, uuid, parent)


class Subvolumes:
    """All trees of files, by their numbers."""

    def __init__(self, nodes: NodeReader, superblock: Superblock, budget: Budget) -> None:
        self._nodes = nodes
        self._budget = budget
        self._root_folder = superblock.root_folder
        self.roots = Tree(nodes, superblock.root, superblock.root_level, superblock.generation)
        self._trees: OrderedDict[int, Items] = OrderedDict()
        self.replayed: dict[int, Items] = {}
        """Trees with the changes of their logs."""

    def root(self, number: int) -> Root | None:
        """The newest item of a tree."""
        key = self.roots.floor((number, ROOT_ITEM, LAST))
        if key[:2] != (number, ROOT_ITEM):
            return None
        return parse_root(number, self.roots.find(key) or b"")

    def base_tree(self, number: int) -> Tree:
        """The tree as it was committed. Raises Broken for one that is not there, or deleted."""
        if number != TOP_LEVEL and not FIRST_FREE <= number <= LAST_FREE:
            raise Broken(f"tree {number} is not one of files")
        root = self.root(number)
        if root is None or not root.references:
            raise Broken(f"the subvolume {number} is not there")
        return Tree(self._nodes, root.address, root.level, root.generation)

    def tree(self, number: int) -> Items:
        """The tree as the guest sees it."""
        tree = self._trees.get(number)
        if tree is None:
            tree = self.replayed.get(number) or self.base_tree(number)
            self._trees[number] = tree
            if len(self._trees) > _TREES:
                self._trees.popitem(last=False)
        return tree

    def default(self) -> int:
        """The number of the subvolume that is mounted unless another is asked for."""
        item = self.roots.find((self._root_folder, DIR_ITEM, name_hash(b"default")))
        for name, _, number, kind, _ in named_parts(item or b""):
            if name == b"default":
                if kind != ROOT_ITEM:
                    raise Broken("the default subvolume is not a tree")
                return number
        return TOP_LEVEL

    def is_linked(self, parent: int, folder: int, name: bytes, child: int) -> bool:
        """False for the place of a subvolume in a snapshot of its parent: the kernel shows an empty folder there."""
        item = self.roots.find((parent, ROOT_REF, child))
        if item is None:
            return False
        return parse_reference(item) == (folder, name) and self.root(child) is not None

    def subvolumes(self) -> Iterator[Subvolume]:
        """All that are not deleted, the top level first."""
        previous = -1
        for (number, kind, _), _ in self.roots.items((TOP_LEVEL, ROOT_ITEM, 0), (LAST_FREE, ROOT_ITEM, LAST)):
            self._budget.step()
            if kind != ROOT_ITEM or number == previous or TOP_LEVEL < number < FIRST_FREE:
                continue
            previous = number
            root = self.root(number)
            if root is not None and root.references:
                path = self._path(number)
                read_only = bool(root.flags & _READ_ONLY)
                yield Subvolume(number, path, (number, FIRST_FREE), read_only, root.uuid, root.parent_uuid)

    def _path(self, number: int) -> bytes:
        names: list[bytes] = []
        while number != TOP_LEVEL:
            parent = self.roots.floor((number, ROOT_BACKREF, LAST))
            if parent[:2] != (number, ROOT_BACKREF):
                raise Broken(f"the subvolume {number} is in no folder")
            folder, name = parse_reference(self.roots.find(parent) or b"")
            names.append(name)
            number = parent[2]
            tree = self.tree(number)
            while folder != FIRST_FREE:
                self._check_depth(names)
                folder, name = _parent_folder(tree, folder)
                names.append(name)
            self._check_depth(names)
        return b"/".join(reversed(names))

    def _check_depth(self, names: list[bytes]) -> None:
        self._budget.step()
        if len(names) > 32 * self._budget.depth:
            raise Broken("the folders of a subvolume lead in a circle")


def parse_reference(item: bytes) -> tuple[int, bytes]:
    """The folder and the name of a subvolume."""
    if len(item) < _REFERENCE.size:
        raise Broken("the place of a subvolume has too short an item")
    folder, _, size = _REFERENCE.unpack_from(item)
    if len(item) != _REFERENCE.size + size or not size:
        raise Broken("the place of a subvolume has a name of another length")
    return folder, item[_REFERENCE.size :]


def _parent_folder(tree: Items, folder: int) -> tuple[int, bytes]:
    """A folder has one name, so that it has one item."""
    for key, item in tree.items((folder, INODE_REF, 0), (folder, INODE_EXTREF, LAST)):
        skip = 10 if key[1] == INODE_REF else 18
        parent = key[2] if key[1] == INODE_REF else int.from_bytes(item[:8], "little")
        if len(item) <= skip:
            break
        return parent, item[skip:]
    raise Broken(f"folder {folder} is in no folder")
