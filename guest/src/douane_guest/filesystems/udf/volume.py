"""The volume: its anchor, and the descriptors that say which partitions the logical volume has."""

from __future__ import annotations

import contextlib
import struct
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.source import Source

from .descriptors import (
    ANCHOR,
    INTEGRITY,
    LOGICAL,
    PARTITION,
    POINTER,
    PRIMARY,
    TERMINATOR,
    Address,
    expect,
    field_text,
    long_address,
    tag_of,
)

BLOCK_SIZES = (2048, 512, 4096, 1024, 8192, 16384, 32768)
ANCHOR_BLOCK = 256
MOST_DESCRIPTORS = 1024
EXTENT = struct.Struct("<II")
PARTITION_FIELDS = struct.Struct("<I2xH")
INTEGRITY_OPEN = 0


class Volume(NamedTuple):
    block_size: int
    label: str
    uuid: str
    file_set: Address
    maps: list[bytes]
    partitions: dict[int, tuple[int, int]]
    """By number: the first block and the count of blocks."""

    clean: bool


def read_anchor(source: Source) -> tuple[int, bytes]:
    """The size of blocks, and the anchor. Raises Broken, also if there are anchors for several sizes: on a disk Linux
    begins with the smallest, on a disc with 2048 bytes (fs/udf/super.c)."""
    anchors = [anchor for size in BLOCK_SIZES if (anchor := _anchor(source, size))]
    if len(anchors) > 1:
        raise Broken(f"the UDF has anchors for blocks of {' and of '.join(str(size) for size, _ in anchors)} bytes")
    if not anchors:
        raise Broken("the UDF has no anchor")
    return anchors[0]


def _anchor(source: Source, size: int) -> tuple[int, bytes] | None:
    last = source.size // size - 1
    for number in (ANCHOR_BLOCK, last, last - ANCHOR_BLOCK):
        if number < ANCHOR_BLOCK // 2 or (number + 1) * size > source.size:
            continue
        block = source.pread(number * size, size)
        with contextlib.suppress(Broken):
            if tag_of(block, number) == ANCHOR:
                return size, block
    return None


def read_volume(source: Source, budget: Budget) -> Volume:
    """Raises Broken."""
    size, anchor = read_anchor(source)
    try:
        descriptors = read_sequence(source, size, extent_at(anchor, 16), budget)
    except Broken:
        descriptors = read_sequence(source, size, extent_at(anchor, 24), budget)
    logical = descriptors[LOGICAL, 0]
    if int.from_bytes(logical[212:216], "little") != size:
        raise Broken("the logical volume of the UDF has blocks of another size than its anchor")
    partitions = {number: extent_at(block, 188) for (kind, number), block in descriptors.items() if kind == PARTITION}
    primary = descriptors.get((PRIMARY, 0))
    return Volume(
        block_size=size,
        label=field_text(logical[84:212]),
        uuid=uuid_of(field_text(primary[72:200])) if primary else "",
        file_set=long_address(logical, 248),
        maps=maps_of(logical),
        partitions=partitions,
        clean=is_closed(source, size, extent_at(logical, 432), budget),
    )


def extent_at(data: bytes, position: int) -> tuple[int, int]:
    """The size in bytes and the first block."""
    length, start = EXTENT.unpack_from(data, position)
    return length, start


def read_sequence(source: Source, size: int, extent: tuple[int, int], budget: Budget) -> dict[tuple[int, int], bytes]:
    """The descriptors that prevail: of each kind and partition that with the highest number. Raises Broken."""
    descriptors: dict[tuple[int, int], bytes] = {}
    numbers: dict[tuple[int, int], int] = {}
    length, place = extent
    end = place + length // size
    for _ in range(MOST_DESCRIPTORS):
        if place >= end:
            break
        budget.step(16)
        block = source.pread(place * size, size)
        if not any(block[:16]):
            break
        kind = tag_of(block, place)
        if kind == TERMINATOR:
            break
        place += 1
        if kind == POINTER:
            length, place = extent_at(block, 20)
            end = place + length // size
            continue
        number, partition = PARTITION_FIELDS.unpack_from(block, 16)
        key = kind, partition if kind == PARTITION else 0
        if key not in descriptors or number >= numbers[key]:
            descriptors[key], numbers[key] = block, number
    if (LOGICAL, 0) not in descriptors:
        raise Broken("the UDF has no logical volume")
    return descriptors


def maps_of(logical: bytes) -> list[bytes]:
    """The partition maps of a logical volume."""
    length, count = EXTENT.unpack_from(logical, 264)
    table = logical[440 : 440 + length]
    maps, position = [], 0
    for _ in range(count):
        size = table[position + 1]
        if size < 6 or position + size > len(table):
            raise Broken("the partition maps of the UDF are damaged")
        maps.append(table[position : position + size])
        position += size
    return maps


def is_closed(source: Source, size: int, extent: tuple[int, int], budget: Budget) -> bool:
    """Whether the last integrity descriptor says that the volume was unmounted."""
    length, start = extent
    closed = False
    for number in range(min(length // size, MOST_DESCRIPTORS)):
        budget.step(16)
        block = source.pread((start + number) * size, size)
        if not any(block[:16]) or tag_of(block, start + number) == TERMINATOR:
            break
        expect(block, start + number, INTEGRITY)
        closed = int.from_bytes(block[28:32], "little") != INTEGRITY_OPEN
    return closed


def uuid_of(name: str) -> str:
    """As blkid makes it of the first 16 bytes of the name of the volume set."""
    data = name.encode()[:16]
    digits = b"0123456789abcdefABCDEF"
    if len(data) < 8:
        return ""
    if len(data) == 16 and all(byte in digits for byte in data):
        return data.decode().lower()
    if all(byte in digits for byte in data[:8]):
        return data[:8].decode().lower() + data[8:12].hex()
    return data[:8].hex()
