"""What is in files and links."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from douane_guest.errors import Broken, Unsupported
from douane_guest.filesystems.base import Node

from .disk import Disk
from .fork import LOCAL, extents
from .inode import REALTIME, Inode

_PIECE = 1 << 20
_LINK_MOST = 1024


def chunks(disk: Disk, node: Node, start: int) -> Iterator[tuple[int, bytes]]:
    """The written pieces of a file."""
    inode: Inode = node.detail
    if inode.flags & REALTIME:
        raise Unsupported(f"the file of inode {inode.number} is in the realtime section, which is another device")
    log, size = disk.superblock.block_log, node.size
    for extent in extents(disk, inode.data_fork):
        begin = extent.offset << log
        if begin >= size:
            return
        if extent.unwritten:
            continue
        place = disk.place(extent.block, extent.length) - begin
        end = min(begin + (extent.length << log), size)
        if end <= start:
            continue
        for at in range(begin, end, _PIECE):
            until = min(at + _PIECE, end)
            if until <= start:
                continue
            disk.budget.deliver(until - at)
            yield at, disk.source.pread(place + at, until - at)


def target(disk: Disk, node: Node) -> bytes:
    """Where a link points to."""
    inode: Inode = node.detail
    if not 0 < node.size <= _LINK_MOST:
        raise Broken(f"the link of inode {inode.number} has {node.size} bytes")
    path = inode.data_fork.data[: node.size] if inode.format == LOCAL else _remote(disk, inode, node.size)
    if len(path) != node.size or b"\0" in path:
        raise Broken(f"the link of inode {inode.number} does not have its {node.size} bytes")
    return path


def _remote(disk: Disk, inode: Inode, size: int) -> bytes:
    """A long link: one piece for each extent, which begins with a header since version 5."""
    pieces = []
    have = 0
    for extent in extents(disk, inode.data_fork):
        if have >= size or extent.unwritten:
            break
        data = disk.blocks(extent.block, min(extent.length, 4))
        if disk.superblock.version == 5:
            magic, offset, count, owner = struct.unpack_from(">4sII20xQ", data)
            if magic != b"XSLM" or offset != have or owner != inode.number or count > len(data) - 56:
                raise Broken(f"a block of the link of inode {inode.number} is none")
            data = data[56 : 56 + count]
        pieces.append(data[: size - have])
        have += len(pieces[-1])
    return b"".join(pieces)


def place(disk: Disk, node: Node) -> int:
    """The byte at which the first extent begins; 0 if there is none."""
    inode: Inode = node.detail
    if inode.format == LOCAL or not inode.extent_count or inode.flags & REALTIME:
        return 0
    for extent in extents(disk, inode.data_fork):
        return disk.place(extent.block, extent.length)
    return 0
