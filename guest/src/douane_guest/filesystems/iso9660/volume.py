"""Volume descriptors: where the trees of folders begin."""

from __future__ import annotations

import struct
from typing import NamedTuple

from douane_guest.errors import Broken, Unsupported
from douane_guest.source import Source

SECTOR = 2048
FIRST_DESCRIPTOR = 16
MOST_DESCRIPTORS = 100
IDENTIFIER = b"CD001"
PRIMARY, SUPPLEMENTARY, TERMINATOR = 1, 2, 255
JOLIET_ESCAPES = (b"%/@", b"%/C", b"%/E")
BLOCK_SIZES = (512, 1024, 2048)
ROOT_RECORD = 156
ROOT_PLACE = struct.Struct("<xBI")
MODIFIED = slice(830, 846)
CREATED = slice(813, 829)


class Tree(NamedTuple):
    """A descriptor of a tree of folders."""

    joliet: bool
    block_size: int
    root: int
    """In bytes: where the root folder is."""

    label: str
    uuid: str


def read_trees(source: Source) -> tuple[Tree, Tree | None]:
    """The primary tree, and that of Joliet. Raises Broken and Unsupported."""
    primary: Tree | None = None
    joliet: Tree | None = None
    for number in range(MOST_DESCRIPTORS):
        place = (FIRST_DESCRIPTOR + number) * SECTOR
        if place + SECTOR > source.size:
            break
        block = source.pread(place, SECTOR)
        if block[1:6] != IDENTIFIER:
            continue  # as Linux does (fs/isofs/inode.c)
        if block[0] == TERMINATOR:
            break
        if block[0] == PRIMARY and primary is None:
            primary = tree_of(block, joliet=False)
        elif block[0] == SUPPLEMENTARY and joliet is None and block[88:91] in JOLIET_ESCAPES:
            joliet = tree_of(block, joliet=True)
    if primary is None:
        raise Unsupported("the ISO 9660 image has no primary volume descriptor")
    return primary, joliet


def tree_of(block: bytes, *, joliet: bool) -> Tree:
    block_size = int.from_bytes(block[128:130], "little")
    if block_size not in BLOCK_SIZES:
        raise Broken(f"the ISO 9660 image has blocks of {block_size} bytes")
    attributes, extent = ROOT_PLACE.unpack_from(block, ROOT_RECORD)
    label = block[40:72]
    return Tree(
        joliet=joliet,
        block_size=block_size,
        root=(extent + attributes) * block_size,
        label=label.decode("utf-16-be" if joliet else "ascii", "replace").rstrip(" \0"),
        uuid=uuid_of(block),
    )


def uuid_of(block: bytes) -> str:
    """As blkid makes it: of the digits of the time when the volume was changed, or else made."""
    for place in (MODIFIED, CREATED):
        digits = block[place]
        if digits.isdigit() and digits.strip(b"0"):
            text = digits.decode()
            return "-".join([text[:4], *(text[at : at + 2] for at in range(4, 16, 2))])
    return ""
