"""The log tree: what fsync(2) wrote since the last commit, replayed in memory as fs/btrfs/tree-log.c does on a mount.

For each subvolume there is a log, with items as in its tree. They are taken in three passes: inodes (with what they no
longer have: attributes, names in ranges of a folder that the log knows, bytes behind their end), then names by their
index, then references, attributes and extents.
"""

from __future__ import annotations

import stat
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported

from .changes import ChangedTree, Reference, Room, parse_references, with_size
from .directory import entries_of
from .inode import INODE, NAMED, named_parts
from .keys import (
    DIR_INDEX,
    DIR_LOG_INDEX,
    EXTENT_DATA,
    INODE_EXTREF,
    INODE_ITEM,
    INODE_REF,
    LAST,
    ROOT_ITEM,
    TREE_LOG,
    XATTR_ITEM,
    Key,
)
from .nodes import NodeReader
from .subvolumes import Subvolumes, parse_root
from .superblock import Superblock
from .tree import Tree

_LINKS = slice(40, 44)


class _Log(NamedTuple):
    """The log of a subvolume."""

    items: dict[Key, bytes]
    """In the order of their keys."""

    names: set[tuple[int, int, bytes]]
    """Inode, folder, name."""


def replay(nodes: NodeReader, superblock: Superblock, subvolumes: Subvolumes, budget: Budget) -> None:
    """Put changed trees in place of those that have a log. Raises GuestError if a log cannot be replayed."""
    room = Room()
    logs = Tree(nodes, superblock.log_root, superblock.log_root_level, superblock.generation + 1)
    changed: dict[int, ChangedTree] = {}
    for key, item in logs.items((TREE_LOG, ROOT_ITEM, 0), (TREE_LOG, ROOT_ITEM, LAST)):
        budget.step()
        number = key[2]
        root = parse_root(TREE_LOG, item)
        if subvolumes.root(number) is None:
            continue  # the subvolume was deleted
        log = _read_log(Tree(nodes, root.address, root.level, root.generation), room, budget)
        tree = ChangedTree(subvolumes.base_tree(number), room, budget, superblock.sector_size, superblock.has_no_holes)
        _replay(log, tree, budget, superblock.sector_size)
        changed[number] = tree
    subvolumes.replayed.update(changed)


def _read_log(tree: Tree, room: Room, budget: Budget) -> _Log:
    log = _Log({}, set())
    ignored = -1
    for key, item in tree.items((0, 0, 0), (LAST, 255, LAST)):
        budget.step()
        room.take(item)
        if key[1] == INODE_ITEM:
            if len(item) != INODE.size:
                raise Broken(f"inode {key[0]} has an item of {len(item)} bytes in the log")
            if not any(item[_LINKS]):  # a file without a name that was synced
                ignored = key[0]
        if key[0] == ignored:
            continue
        log.items[key] = item
        if key[1] in (INODE_REF, INODE_EXTREF):
            for reference in parse_references(key, item):
                budget.step()
                log.names.add((key[0], reference[0], reference[2]))
    return log


def _replay(log: _Log, tree: ChangedTree, budget: Budget, sector_size: int) -> None:
    touched: set[int] = set()
    for key, item in log.items.items():
        if key[1] == INODE_ITEM:
            _replay_inode(log, tree, key, item, sector_size, touched)
            touched.add(key[0])
    for key, item in log.items.items():
        if key[1] == DIR_INDEX:
            _replay_name(log, tree, key, item, touched)
    for key, item in log.items.items():
        budget.step()
        if key[1] == XATTR_ITEM:
            tree.write(key, item)
        elif key[1] in (INODE_REF, INODE_EXTREF):
            _replay_references(log, tree, key, item, touched)
        elif key[1] == EXTENT_DATA:
            if not tree.is_inode(key[0]):
                raise Broken(f"the log has an extent of inode {key[0]}, which is not there")
            tree.replay_extent(key, item)
    for number in touched:
        _count_links(tree, number)


# --- the first pass ---------------------------------------------------------------------------------------------------


def _replay_inode(log: _Log, tree: ChangedTree, key: Key, item: bytes, sector_size: int, touched: set[int]) -> None:
    number = key[0]
    _remove_attributes(log, tree, number)
    mode = INODE.unpack(item)[8]
    if stat.S_ISDIR(mode):
        _remove_names(log, tree, number, touched)
    tree.write(key, _merged_inode(item, tree.find(key)))
    if stat.S_ISREG(mode):
        size = INODE.unpack(tree.find(key) or b"")[2]
        tree.drop_extents(number, -(-size // sector_size) * sector_size, LAST)


def _merged_inode(item: bytes, existing: bytes | None) -> bytes:
    """The inode of the log; generation 0 says that only its existence was logged."""
    fields = INODE.unpack(item)
    is_folder = stat.S_ISDIR(fields[8])
    if existing is None:
        return with_size(item, 0) if is_folder else item
    old = INODE.unpack(existing)
    if not fields[0]:
        if stat.S_ISREG(fields[8]) and stat.S_ISREG(old[8]) and fields[2]:
            return with_size(existing, fields[2])
        return existing
    # The size of a folder follows from the names that are added and removed.
    return with_size(item, old[2]) if is_folder and stat.S_ISDIR(old[8]) else item


def _remove_attributes(log: _Log, tree: ChangedTree, number: int) -> None:
    for key, item in list(tree.items((number, XATTR_ITEM, 0), (number, XATTR_ITEM, LAST))):
        logged = {part[0] for part in named_parts(log.items.get(key, b""))}
        parts = list(entries_of(item))
        kept = [part for part, fields in zip(parts, named_parts(item), strict=True) if fields[0] in logged]
        if not kept:
            tree.remove(key)
        elif len(kept) < len(parts):
            tree.write(key, b"".join(kept))


def _remove_names(log: _Log, tree: ChangedTree, folder: int, touched: set[int]) -> None:
    """The log has all names of a folder whose index is in its ranges: others were removed."""
    if not tree.is_inode(folder):
        return
    ranges = [
        (key[2], int.from_bytes(item[:8], "little"))
        for key, item in log.items.items()
        if key[:2] == (folder, DIR_LOG_INDEX)
    ]
    for start, end in ranges:
        for key, item in list(tree.items((folder, DIR_INDEX, start), (folder, DIR_INDEX, end))):
            name = item[NAMED.size :]
            if log.items.get(key, b"")[NAMED.size :] != name:
                touched.add(NAMED.unpack_from(item)[0])
                tree.unlink(folder, name)


# --- the second pass --------------------------------------------------------------------------------------------------


def _replay_name(log: _Log, tree: ChangedTree, key: Key, item: bytes, touched: set[int]) -> None:
    folder = key[0]
    if len(item) <= NAMED.size or not tree.is_inode(folder):
        raise Broken(f"the log has a name in folder {folder}, which is not there")
    number, kind = NAMED.unpack_from(item)[:2]
    name = item[NAMED.size :]
    existing = tree.entry(folder, name)
    if kind == ROOT_ITEM:
        if existing is None or existing[:17] != item[:17]:
            raise Unsupported("the log has the name of a subvolume", "guest-unclean")
        return
    is_inode = tree.is_inode(number)
    if existing is not None and existing[:17] != item[:17] and is_inode:
        touched.add(NAMED.unpack_from(existing)[0])
        tree.unlink(folder, name)
    if (number, folder, name) in log.names or not is_inode:
        return  # the name comes with its reference, or the inode was not logged
    tree.link(folder, key[2], name, number, with_reference=True)
    touched.add(number)


# --- the third pass ---------------------------------------------------------------------------------------------------


def _replay_references(log: _Log, tree: ChangedTree, key: Key, item: bytes, touched: set[int]) -> None:
    number = key[0]
    if key[1] == INODE_REF and key[2] == number:
        return  # the name of the root folder is ".." in itself
    if not tree.is_inode(number):
        raise Broken(f"the log has a reference of inode {number}, which is not there")
    references = list(parse_references(key, item))
    if not all(tree.is_inode(parent) for parent, _, _ in references):
        return  # not all parent folders were logged
    for parent, index, name in references:
        if not _is_in_folder(tree, parent, index, name, number):
            _remove_conflicts(log, tree, (parent, index, name), number, touched)
            tree.link(parent, index, name, number, with_reference=False)
    old = list(parse_references(key, tree.find(key) or b""))
    for parent, _, name in old:
        if (parent, name) not in {(reference[0], reference[2]) for reference in references}:
            tree.unlink(parent, name)
    tree.write(key, item)
    touched.add(number)


def _is_in_folder(tree: ChangedTree, folder: int, index: int, name: bytes, number: int) -> bool:
    """True if both entries of the name lead to the inode."""
    for entry in (tree.entry(folder, name), tree.find((folder, DIR_INDEX, index))):
        if entry is None or entry[NAMED.size :] != name or NAMED.unpack_from(entry)[:2] != (number, INODE_ITEM):
            return False
    return True


def _remove_conflicts(log: _Log, tree: ChangedTree, reference: Reference, number: int, touched: set[int]) -> None:
    """Names of the inode in the same folder that the log no longer has, and another inode of the same name."""
    folder, index, name = reference
    for _, (parent, _, victim) in list(tree.references(number)):
        if parent == folder and (number, folder, victim) not in log.names:
            tree.unlink(folder, victim)
    for entry in (tree.find((folder, DIR_INDEX, index)), tree.entry(folder, name)):
        if entry is not None and entry[NAMED.size :] == name and tree.entry(folder, name) is not None:
            touched.add(NAMED.unpack_from(entry)[0])
            tree.unlink(folder, name)


def _count_links(tree: ChangedTree, number: int) -> None:
    key = (number, INODE_ITEM, 0)
    item = tree.find(key)
    if item is not None:
        links = sum(1 for _ in tree.references(number))
        tree.write(key, item[: _LINKS.start] + links.to_bytes(4, "little") + item[_LINKS.stop :])
