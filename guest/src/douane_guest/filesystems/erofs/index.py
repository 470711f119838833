"""The index of a compressed file: which compressed pieces hold which bytes.

A file is cut into logical clusters of a block or more. Each has an entry: the head of an extent (where in the cluster
it begins, and the block of its compressed bytes), or a follower of one. The entries are read in order, which tells
every extent without following distances.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.source import Source

MAP_HEAD = struct.Struct("<IHBB")
FULL_ENTRY = struct.Struct("<HHI")
PLAIN, HEAD1, FOLLOWER, HEAD2 = range(4)
COMPACT_2B, BIG_1, BIG_2, INLINE, INTERLACED, FRAGMENT = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
PARTIAL = 1 << 15
BLOCK_COUNT = 1 << 11
FEWEST_BITS = 12
"""Of a compact entry for its offset or its count of blocks, however small the clusters are."""

ENTRIES_AT_ONCE = 512


class Map(NamedTuple):
    """The head of an index."""

    raw: int
    """Its eight bytes as a number."""

    low: int
    advise: int
    algorithms: tuple[int, int]
    cluster_log: int
    start: int
    """Where the entries begin."""

    @property
    def is_packed(self) -> bool:
        """Whether all of the file lies in the packed inode."""
        return bool(self.raw >> 63)

    @property
    def has_big(self) -> bool:
        return bool(self.advise & (BIG_1 | BIG_2))


class Cluster(NamedTuple):
    kind: int
    offset: int
    block: int
    blocks: int
    """A follower: how many blocks the compressed bytes have, 0 if it does not say."""

    partial: bool
    pack_end: int
    """The byte behind the entries that stand together with this one."""


class Extent(NamedTuple):
    """A compressed piece."""

    start: int
    size: int
    kind: int
    place: int
    stored: int
    partial: bool
    is_last: bool
    pack_end: int


def read_map(data: bytes, place: int, block_log: int, *, full: bool) -> Map:
    low, advise, algorithms, bits = MAP_HEAD.unpack(data)
    return Map(
        raw=int.from_bytes(data, "little"),
        low=low,
        advise=advise,
        algorithms=(algorithms & 15, algorithms >> 4),
        cluster_log=block_log + (bits & 15),
        start=place + MAP_HEAD.size * (2 if full else 1),
    )


def full_clusters(source: Source, table: Map, count: int) -> Iterator[Cluster]:
    """Entries of eight bytes."""
    place = table.start
    while count:
        batch = min(count, ENTRIES_AT_ONCE)
        data = source.pread(place, batch * FULL_ENTRY.size)
        for advise, offset, block in FULL_ENTRY.iter_unpack(data):
            place += FULL_ENTRY.size
            kind = advise & 3
            if kind != FOLLOWER:
                yield Cluster(kind, offset, block, 0, bool(advise & PARTIAL), place)
                continue
            distance = block & 0xFFFF
            blocks = distance & ~BLOCK_COUNT if distance & BLOCK_COUNT else 0
            yield Cluster(kind, 0, 0, blocks, False, place)
        count -= batch


def compact_clusters(source: Source, table: Map, count: int) -> Iterator[Cluster]:
    """Entries of four or two bytes on average: packs of 2 in 8 bytes until 32 bytes are aligned, then (if the head says
    so) of 16 in 32, at last of 2 in 8."""
    first = min(-table.start % 32 // 4, count) if table.advise & COMPACT_2B else count
    middle = (count - first) // 16 * 16
    place = table.start
    for entries, per_pack, size in ((first, 2, 8), (middle, 16, 32), (count - first - middle, 2, 8)):
        if entries and ((size == 32 and table.cluster_log > FEWEST_BITS) or table.cluster_log > 14):
            raise Broken("an index of the erofs is compact, and its clusters are too large for that")
        missing = entries
        while missing > 0:
            packs = min(-(-missing // per_pack), ENTRIES_AT_ONCE // per_pack)
            data = source.pread(place, packs * size)
            for number in range(packs):
                place += size
                pack = data[number * size : (number + 1) * size]
                yield from pack_clusters(pack, min(per_pack, missing), per_pack, table, place)
                missing -= per_pack


def pack_clusters(pack: bytes, count: int, per_pack: int, table: Map, end: int) -> Iterator[Cluster]:
    """The entries of a pack: bits, behind one another, and the block before its first head."""
    bits = (len(pack) - 4) * 8 // per_pack
    number = int.from_bytes(pack[:-4], "little")
    block = int.from_bytes(pack[-4:], "little") + (0 if table.has_big else 1)
    low_bits = max(table.cluster_log, FEWEST_BITS)
    mask = (1 << low_bits) - 1
    lone_head = False
    for index in range(count):
        value = number >> bits * index
        low, kind = value & mask, value >> low_bits & 3
        if kind != FOLLOWER:
            block += lone_head
            lone_head = True
            yield Cluster(kind, low, block, 0, False, end)
            continue
        blocks = low & ~BLOCK_COUNT if low & BLOCK_COUNT else 0
        if table.has_big:
            block += blocks
        else:
            block += lone_head
        lone_head = False
        yield Cluster(kind, 0, 0, blocks, False, end)


def extents_of(clusters: Iterator[Cluster], table: Map, size: int, block_log: int, budget: Budget) -> Iterator[Extent]:
    """The extents of a file of `size` bytes, one behind another. Raises Broken."""
    head: Cluster | None = None
    start, blocks, distance, last_end = 0, 0, 0, 0
    for number, cluster in enumerate(clusters):
        budget.step()
        distance += 1
        if cluster.kind == FOLLOWER:
            if head is None or (cluster.blocks and (distance != 1 or not table.has_big)):
                raise Broken("an index of the erofs begins with a follower, or counts blocks where it must not")
            blocks = cluster.blocks or blocks
            last_end = cluster.pack_end
            continue
        if cluster.offset >> table.cluster_log:
            raise Broken("an extent of the erofs begins beyond its cluster")
        begin = (number << table.cluster_log) + cluster.offset
        if begin == size and head is not None:  # mkfs.erofs ends some indexes with it
            last_end = cluster.pack_end
            continue
        if (head is None and begin) or begin > size:
            raise Broken("the first extent of a file of the erofs does not begin with it, or one lies beyond its end")
        if head is not None and begin > start:
            yield extent_of(head, start, begin, blocks, table, block_log, None)
        elif head is not None and begin < start:
            raise Broken("the extents of a file of the erofs are not in their order")
        head, start, blocks, distance, last_end = cluster, begin, 0, 0, cluster.pack_end
    if head is not None:
        yield extent_of(head, start, size, blocks, table, block_log, last_end)


def extent_of(
    head: Cluster, start: int, end: int, blocks: int, table: Map, block_log: int, last_end: int | None
) -> Extent:
    """`last_end`: the byte behind the index, for the last extent of a file."""
    return Extent(
        start=start,
        size=end - start,
        kind=head.kind,
        place=head.block << block_log,
        stored=(blocks << block_log) or (1 << table.cluster_log),
        partial=head.partial,
        is_last=last_end is not None,
        pack_end=last_end or 0,
    )
