"""cloop, the compressed loop device's images: a CD, block by block compressed.

The format and its limits: qemu, block/cloop.c.
"""

from operator import le, sub

from .base import Format
from .requests import Bytes
from .tables import Table, Walk, numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

MAGIC = b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"
MOST_BLOCK = 64 << 20
MOST_TABLE = 512 << 20
TABLE_AT = 136


class Cloop(Format):
    """Recognised by the shell script that it begins with, as qemu does."""

    name = "cloop"
    about = "a compressed disk of Knoppix"
    disk_format = "cloop"
    signatures = ((0, MAGIC),)

    def read(self, match: "Match") -> "Reader":
        """Header, then where each block begins."""
        match.variant = "2.0"
        data = yield Bytes(128, 8, "the header")
        block, count = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:], "big")
        match.note("block_size", block, 128)
        match.note("n_blocks", count, 132)
        match.virtual_size = block * count
        if not block or block % 512 or block > MOST_BLOCK:
            match.find("header", f"block_size is {block}, and must be a multiple of 512 up to {MOST_BLOCK}", 128)
            return
        if not count:
            match.find("no-disk", "n_blocks is 0", 132)
        if block // 512 * count > 0xFFFFFFFF:
            match.find("virtual-size", f"{count} blocks of {block} bytes have more sectors than 32 bits can count", 132)
        table = (count + 1) * 8
        if table > MOST_TABLE:
            match.find("header", f"n_blocks is {count}: the table of blocks has more than {MOST_TABLE} bytes", 132)
            return
        walk = Walk(match, TABLE_AT)
        before = 0

        def use(piece: bytes) -> None:
            nonlocal before
            offsets = numbers(piece, ">Q")
            if not offsets:
                return
            first = before == 0
            if not first:
                offsets = (before, *offsets)
            elif offsets[0] < TABLE_AT + table:
                walk.once("overlap", f"the first block stands at {offsets[0]}, in the table of blocks", TABLE_AT)
            following = offsets[1:]
            if not all(map(le, offsets, following)):
                walk.once("header", "the offsets of its blocks do not ascend", TABLE_AT)
            elif max(map(sub, following, offsets), default=0) > 2 * MOST_BLOCK:
                walk.once("header", f"a compressed block has more than {2 * MOST_BLOCK} bytes", TABLE_AT)
            before = offsets[-1]
            walk.reach(max(offsets), "a block")

        walk.reach(TABLE_AT + table, "the table of blocks")
        walk.add(Table(TABLE_AT, table, "the table of blocks", use))
        yield from walk.run()
