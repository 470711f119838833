"""Partitions: where on the disk a block of a partition is."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Protocol

from douane_guest.budget import Budget, check_size
from douane_guest.errors import Broken, Unsupported
from douane_guest.source import Source

from .descriptors import Address, tag_of
from .volume import Volume

VIRTUAL, SPARABLE, METADATA = b"*UDF Virtual Partition", b"*UDF Sparable Partition", b"*UDF Metadata Partition"
SPARING_NAME = b"*UDF Sparing Table"
VAT_NAME = b"*UDF Virtual Alloc Tbl"
VAT_TRAILER = 36
VAT_TYPE = 248
NOT_MAPPED = 0xFFFF_FFFF
NUMBERS = struct.Struct("<HH")
PAIR = struct.Struct("<II")


class Partition(Protocol):
    """Blocks that are numbered from 0 on."""

    def pieces(self, block: int, size: int) -> Iterator[tuple[int, int]]:
        """Where `size` bytes from a block on are: bytes of the disk and counts. Raises Broken."""


class Physical:
    """Blocks behind one another; those in packets that were bad are elsewhere (`spared`, by the first block)."""

    def __init__(self, start: int, count: int, block_size: int) -> None:
        self.start = start
        self.count = count
        self._block_size = block_size
        self.packet = 1
        self.spared: dict[int, int] = {}

    def pieces(self, block: int, size: int) -> Iterator[tuple[int, int]]:
        """See :class:`Partition`."""
        if block * self._block_size + size > self.count * self._block_size:
            raise Broken(f"{size} bytes at block {block} lie beyond the partition of the UDF")
        if not self.spared:
            yield (self.start + block) * self._block_size, size
            return
        while size:
            packet = block // self.packet * self.packet
            count = min(size, (packet + self.packet - block) * self._block_size)
            first = self.spared.get(packet, self.start + packet)
            yield (first + block - packet) * self._block_size, count
            size -= count
            block = packet + self.packet


class Mapped:
    """Blocks of a table: where each is in another partition (VAT)."""

    def __init__(self, table: tuple[int, ...], base: Partition, block_size: int) -> None:
        self._table = table
        self._base = base
        self._block_size = block_size

    def pieces(self, block: int, size: int) -> Iterator[tuple[int, int]]:
        """See :class:`Partition`."""
        while size:
            count = min(size, self._block_size)
            if block >= len(self._table) or self._table[block] == NOT_MAPPED:
                raise Broken(f"block {block} of the UDF is not in the table of virtual blocks")
            yield from self._base.pieces(self._table[block], count)
            size -= count
            block += 1


class InFile:
    """Blocks within a file: metadata, behind one another."""

    def __init__(self, extents: list[tuple[int, Address]], base: Partition, block_size: int) -> None:
        self._extents = extents
        self._base = base
        self._block_size = block_size

    def pieces(self, block: int, size: int) -> Iterator[tuple[int, int]]:
        """See :class:`Partition`."""
        offset = block * self._block_size
        for start, address in self._extents:
            if not size:
                return
            if start <= offset < start + address.size:
                if address.kind:
                    raise Broken("a block of the metadata of the UDF is not recorded")
                count = min(size, start + address.size - offset)
                first = address.block + (offset - start) // self._block_size
                yield from self._base.pieces(first, count)
                offset += count
                size -= count
        if size:
            raise Broken(f"block {block} lies beyond the metadata of the UDF")


Extents = Callable[[Partition, int], list[tuple[int, Address]]]
"""The extents of the file whose entry is that block of a partition."""

Content = Callable[[Partition, int], tuple[int, bytes]]
"""The type and the bytes of the file whose entry is that block."""


def open_partitions(
    source: Source, volume: Volume, extents: Extents, content: Content, budget: Budget
) -> list[Partition]:
    """In the order of the maps, by which addresses name them. Raises Broken and Unsupported."""
    partitions: list[Partition] = []
    for entry in volume.maps:
        if entry[0] == 1:
            partitions.append(physical(volume, NUMBERS.unpack_from(entry, 2)[1]))
            continue
        name = entry[5:28].rstrip(b"\0")
        base = physical(volume, NUMBERS.unpack_from(entry, 36)[1])
        if name == SPARABLE:
            add_spared(source, volume, entry, base, budget)
            partitions.append(base)
        elif name == VIRTUAL:
            table = read_vat(source, volume, base, content)
            partitions.append(Mapped(table, base, volume.block_size))
        elif name == METADATA:
            main, mirror = PAIR.unpack_from(entry, 40)
            try:
                places = extents(base, main)
            except Broken:
                places = extents(base, mirror)
            partitions.append(InFile(places, base, volume.block_size))
        else:
            raise Unsupported(f"the UDF has a partition of the kind {name!r}")
    return partitions


def physical(volume: Volume, number: int) -> Physical:
    if number not in volume.partitions:
        raise Broken(f"the UDF has no partition {number}")
    return Physical(*volume.partitions[number], volume.block_size)


def add_spared(source: Source, volume: Volume, entry: bytes, base: Physical, budget: Budget) -> None:
    """Read the first sparing table that is intact."""
    base.packet = int.from_bytes(entry[40:42], "little")
    size = int.from_bytes(entry[44:48], "little")
    check_size(size, "a sparing table of the UDF")
    if not base.packet or not 1 <= entry[42] <= 4:
        raise Broken("the sparable partition of the UDF is damaged")
    failure: Broken | None = None
    for place in struct.unpack_from(f"<{entry[42]}I", entry, 48):
        try:
            data = source.pread(place * volume.block_size, size)
            tag_of(data, place)
            if data[17:39].rstrip(b"\0") != SPARING_NAME:
                raise Broken("a sparing table of the UDF has another name")
        except Broken as error:
            failure = error
            continue
        count = int.from_bytes(data[48:50], "little")
        for original, elsewhere in PAIR.iter_unpack(data[56 : 56 + 8 * count]):
            budget.step()
            if original < 0xFFFF_FFF0:
                base.spared[original] = elsewhere
        return
    raise Broken("the UDF has no sparing table that is intact") from failure


def read_vat(source: Source, volume: Volume, base: Physical, content: Content) -> tuple[int, ...]:
    """The table of virtual blocks: the file whose entry is the last block that was written."""
    last = source.size // volume.block_size - 1
    for number in range(last, max(last - 4, base.start), -1):
        try:
            kind, data = content(base, number - base.start)
        except Broken:
            continue
        if kind == VAT_TYPE:
            data = data[int.from_bytes(data[:2], "little") :]
        elif VAT_NAME in data[-VAT_TRAILER:]:
            data = data[:-VAT_TRAILER]
        else:
            continue
        return struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])
    raise Unsupported("the UDF has no table of virtual blocks at its end: it was not closed, or is not complete")
