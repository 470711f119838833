"""zisofs: files that are compressed block by block."""

from __future__ import annotations

import itertools
import struct
import sys
from array import array
from collections.abc import Iterator

from douane_guest.budget import Budget, check_size
from douane_guest.compression import inflate
from douane_guest.errors import Broken, Unsupported
from douane_guest.source import Source

from .rockridge import Zisofs

MAGIC = b"\x37\xe4\x53\x96\xc9\xdb\xd6\x07"
HEAD = struct.Struct("<8sIBB2x")
BLOCK_LOGS = range(15, 18)


def zisofs_chunks(stored: Source, field: Zisofs, size: int, start: int, budget: Budget) -> Iterator[tuple[int, bytes]]:
    """The pieces of a file of which `stored` are the bytes on the disk. Raises Broken and Unsupported."""
    if field.algorithm != b"pz" or field.block_log not in BLOCK_LOGS:
        raise Unsupported(f"a file is compressed with {field.algorithm!r}, which is not read")
    magic, real_size, head_size, block_log = HEAD.unpack(stored.pread(0, HEAD.size))
    if (magic, real_size, block_log) != (MAGIC, size, field.block_log):
        raise Broken("the head of a compressed file is not what its folder says")
    block_size = 1 << block_log
    count = -(-size // block_size) + 1
    check_size(4 * count, "the list of blocks of a compressed file")
    places = array("I", stored.pread(head_size * 4, 4 * count))
    if sys.byteorder == "big":
        places.byteswap()
    for number, (begin, end) in enumerate(itertools.pairwise(places)):
        budget.step(16)
        offset = number * block_size
        expected = min(block_size, size - offset)
        if begin == end or offset + expected <= start:
            continue
        if not 0 < end - begin <= 2 * block_size:
            raise Broken("the blocks of a compressed file are not in their order")
        data = inflate(stored.pread(begin, end - begin), expected)
        if len(data) != expected:
            raise Broken(f"a block of a compressed file has {len(data)} bytes instead of {expected}")
        budget.deliver(expected)
        yield offset, data
