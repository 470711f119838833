"""Images of btrfs in data/btrfs, and changes in them."""

from __future__ import annotations

from pathlib import Path

from sparse_images import BLOCK, SparseSource, load

from douane_guest.budget import Budget
from douane_guest.filesystems import btrfs
from douane_guest.filesystems.btrfs.checksum import checksum

DATA = Path(__file__).parent.parent / "data" / "btrfs"
SUPERBLOCK = 64 << 10
LOG_ROOT = 0x60


def open_image(name):
    return btrfs.open(load(DATA / f"{name}.image"), Budget())


def at(system, path, root=None):
    node = system.node(root or system.root)
    for name in path.split(b"/"):
        node = system.node({entry.name: entry.ref for entry in system.entries(node)}[name])
    return node


def node_blocks(source):
    """The first blocks of all nodes: they begin with a checksum and the identity of the file system."""
    identity = source.blocks[SUPERBLOCK // BLOCK][32:48]
    return [
        number
        for number, block in sorted(source.blocks.items())
        if block[32:48] == identity and block[64:72] != b"_BHRfS_M"
    ]


def with_superblock(source, offset, data):
    """The image with a change in its superblock, and the checksum that belongs to it."""
    number = SUPERBLOCK // BLOCK
    block = bytearray(source.blocks[number])
    block[offset : offset + len(data)] = data
    value = checksum(source.blocks[number][0xC4], bytes(block[32:]))
    block[: len(value)] = value
    return SparseSource(source.size, {**source.blocks, number: bytes(block)})
