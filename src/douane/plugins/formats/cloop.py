"""Images of cloop, the compressed loop device: a CD, compressed block by block.

Format and limits: qemu, block/cloop.c.
"""

from operator import le, sub

from .base import Format
from .requests import Bytes
from .tables import Table, TableReader, numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

MAGIC = b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"
MAX_BLOCK = 64 << 20
MAX_TABLE = 512 << 20
TABLE_AT = 136


class Cloop(Format):
    """Recognised by the shell script at its start, as qemu does."""

    name = "cloop"
    about = "a compressed disk of Knoppix"
    disk_format = "cloop"
    signatures = ((0, MAGIC),)

    def read(self, match: "Match") -> "Reader":
        """Read the header, then the offsets of the blocks."""
        match.variant = "2.0"
        data = yield Bytes(128, 8, "the header")
        block, count = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:], "big")
        match.note("block_size", block, 128)
        match.note("n_blocks", count, 132)
        match.virtual_size = block * count
        if not block or block % 512 or block > MAX_BLOCK:
            match.find("header", f"block_size is {block}, but must be a multiple of 512 up to {MAX_BLOCK}", 128)
            return
        if not count:
            match.find("no-disk", "n_blocks is 0", 132)
        if block // 512 * count > 0xFFFFFFFF:
            match.find("virtual-size", f"{count} blocks of {block} bytes have more sectors than 32 bits count", 132)
        table = (count + 1) * 8
        if table > MAX_TABLE:
            match.find("header", f"n_blocks is {count}: the table of blocks exceeds {MAX_TABLE} bytes", 132)
            return
        reader = TableReader(match, TABLE_AT)
        last = 0

        def use(piece: bytes) -> None:
            nonlocal last
            offsets = numbers(piece, ">Q")
            if not offsets:
                return
            if last:
                offsets = (last, *offsets)
            elif offsets[0] < TABLE_AT + table:
                reader.find_once("overlap", f"the first block is at {offsets[0]}, in the table of blocks", TABLE_AT)
            following = offsets[1:]
            if not all(map(le, offsets, following)):
                reader.find_once("header", "the offsets of its blocks do not ascend", TABLE_AT)
            elif max(map(sub, following, offsets), default=0) > 2 * MAX_BLOCK:
                reader.find_once("header", f"a compressed block exceeds {2 * MAX_BLOCK} bytes", TABLE_AT)
            last = offsets[-1]
            reader.must_reach(max(offsets), "a block")

        reader.must_reach(TABLE_AT + table, "the table of blocks")
        reader.add(Table(TABLE_AT, table, "the table of blocks", use))
        yield from reader.read()
