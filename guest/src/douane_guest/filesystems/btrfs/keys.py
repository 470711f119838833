"""Types of items, and numbers of trees and objects: btrfs_tree.h of the kernel's interface for programs."""

from __future__ import annotations

INODE_ITEM = 1
INODE_REF = 12
INODE_EXTREF = 13
XATTR_ITEM = 24
DIR_LOG_INDEX = 72
DIR_ITEM = 84
DIR_INDEX = 96
EXTENT_DATA = 108
ROOT_ITEM = 132
ROOT_BACKREF = 144
ROOT_REF = 156
CHUNK_ITEM = 228

CHUNK_TREE_OBJECT = 256
FIRST_FREE = 256
"""The first number of an object; of a subvolume, its root folder."""

LAST_FREE = (1 << 64) - 256
TOP_LEVEL = 5
"""The subvolume that every file system has."""

TREE_LOG = (1 << 64) - 6
LAST = (1 << 64) - 1

Key = tuple[int, int, int]
"""Number of the object, type of the item, offset."""
