"""Inodes, in a short and in a long shape."""

from __future__ import annotations

import struct
from typing import NamedTuple

from douane_guest.errors import Broken, Unsupported

INODE_STEP = 32
SHORT = struct.Struct("<HHHHIIIIHHI")
LONG = struct.Struct("<HHHHQIIIIQII16x")
LAYOUT_PLAIN, LAYOUT_FULL, LAYOUT_INLINE, LAYOUT_COMPACT, LAYOUT_CHUNKS = range(5)
KNOWN_FORMAT = 0xF
XATTR_HEAD = 12


class Inode(NamedTuple):
    """What the reader keeps of one."""

    layout: int
    size: int
    word: int
    """The block of its data, the format of its chunks, or a device number."""

    xattrs: tuple[int, int]
    """Where its extended attributes are, and how many bytes."""

    mode: int
    links: int
    uid: int
    gid: int
    mtime_ns: int

    @property
    def after(self) -> int:
        """The byte behind the inode and its attributes."""
        return sum(self.xattrs)


def inode_of(data: bytes, place: int, epoch_ns: int) -> Inode:
    """The inode whose bytes are these, which stand at `place`. Raises Broken and Unsupported."""
    form = data[0] | data[1] << 8
    if form & ~KNOWN_FORMAT:
        raise Unsupported(f"an inode of the erofs has the format {form:#x}, which is not read")
    layout = form >> 1
    if layout > LAYOUT_CHUNKS:
        raise Broken(f"an inode of the erofs has the layout {layout}")
    if form & 1:
        _, count, mode, _, size, word, _, uid, gid, seconds, part, links = LONG.unpack_from(data)
        mtime, length = seconds * 1_000_000_000 + part, LONG.size
    else:
        _, count, mode, links, size, seconds, word, _, uid, gid, _ = SHORT.unpack_from(data)
        mtime, length = epoch_ns + seconds * 1_000_000_000, SHORT.size
    xattrs = XATTR_HEAD + 4 * (count - 1) if count else 0
    return Inode(layout, size, word, (place + length, xattrs), mode, links, uid, gid, mtime)


def device_numbers(device: int) -> tuple[int, int]:
    """Major and minor, as Linux packs them in 32 bits (new_decode_dev)."""
    return (device >> 8) & 0xFFF, (device & 0xFF) | ((device >> 12) & 0xFFF00)
