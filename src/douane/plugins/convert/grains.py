"""A stream-optimized VMDK, read as it arrives: its grains stand in the order of the disk, each behind a marker
("Virtual Disk Format 5.0", VMware, "Stream-Optimized Compressed Sparse Extents").

Of its tables nothing is needed. But others read those and not the markers, so both have to say the same: tables in
front of the grains are compared here, one entry with one marker; those behind them by the examination of the same
bytes. That one finds out all else that makes an image safe, and has the last word: what is told here is only how to go
on.
"""

from __future__ import annotations

import sys
from array import array
from struct import Struct

from isal import isal_zlib

from douane.plugins.formats.vmdk_sparse import MAX_VERSION, VmdkHeader
from douane_plugin import Reject

from .files import zeros

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane.plugins._byte_reader import ByteReader

SECTOR = 512
MAX_GRAIN_SECTORS = 2048
"""Of 1 MiB; tools make grains of 64 KiB. One grain is held in memory, packed and not."""

_MARKER = Struct("<QII")
_REST_OF_MARKER = SECTOR - _MARKER.size
_DATA_AT = 12
_NEVER_SO_MANY_SECTORS = 1 << 40
_MOST_ENTRIES = 1 << 16
_ROOM_SECTORS = 1 << 12
"""Of what may stand in front of the grains besides tables: header, description, and what fills up a grain."""
_MOST_FRONT_SECTORS = 192 << 20 >> 9
"""That is more than the tables of 1 TiB, twice, and it is kept in memory."""
_NO_GRAIN = 2
"""Entries below say that a grain is not there, or that it is zero."""


def fits(header: VmdkHeader) -> bool:
    """True if the stream can be read by :func:`disk`."""
    return (
        0 < header.version <= MAX_VERSION
        and header.compression == 1
        and bool(header.flags & 1 << 17)
        and 0 < header.grain <= MAX_GRAIN_SECTORS
        and not header.grain & header.grain - 1
        and 0 < header.entries <= _MOST_ENTRIES
        and 0 < header.capacity < _NEVER_SO_MANY_SECTORS
        and 0 < header.overhead < _NEVER_SO_MANY_SECTORS
    )


def disk(source: ByteReader, header: VmdkHeader) -> Iterator[bytes | memoryview]:
    """The bytes of the disk, in order, from the image's beginning on. All of `source` is read. Raises Reject."""
    size, grain = header.capacity * SECTOR, header.grain * SECTOR
    at = 0
    tables = _tables_in_front(source, header)
    known = sum(entry >= _NO_GRAIN for table in tables or () if table for entry in table)
    while True:
        place = source.offset // SECTOR
        marker = source.read(_MARKER.size)
        if len(marker) < _MARKER.size:
            if marker.strip(b"\0"):
                raise _damaged("it ends in a marker")
            break  # without an end: so qemu leaves it, which has the tables in front
        sector, length, kind = _MARKER.unpack(marker)
        if not length:
            if not kind and not sector:
                break
            if sector > _NEVER_SO_MANY_SECTORS or not source.skip(_REST_OF_MARKER + sector * SECTOR):
                raise _damaged("it ends in a table")
            continue
        start = sector * SECTOR
        if start % grain or start >= size or length > 2 * grain + 4096:
            raise _damaged("a grain is none of this disk")
        if start < at:
            raise Reject(
                "convert-out-of-order",
                "the parts of the VMDK do not stand in the order of the disk, so that it cannot be converted as it "
                "arrives; convert it with qemu-img, and upload the result",
            )
        if tables is not None:
            table = tables[start // grain // header.entries]
            if table is None or table[start // grain % header.entries] != place:
                raise _damaged("its tables do not tell where its grains stand")
            known -= 1
        yield from zeros(start - at)
        data = _grain(source, marker[_DATA_AT:], length, grain, min(grain, size - start))
        yield data
        at = start + len(data)
    if known:
        raise _damaged(f"its tables tell of {known} grains more than there are")
    yield from zeros(size - at)
    while source.take(1 << 20):
        pass


def _tables_in_front(source: ByteReader, header: VmdkHeader) -> list[array[int] | None] | None:
    """Pass over what stands before the first grain: the tables, None for one without grains, if they are there.

    Of a redundant directory is nothing needed: readers go by the other. Raises Reject.
    """
    if header.directory >= header.overhead:  # behind the grains, or said to be at the end
        if not source.skip(header.overhead * SECTOR):
            raise _damaged("it ends before its first grain")
        return None
    count, length = header.tables, header.entries * 4
    most = min(2 * (count * (length + 4) // SECTOR + count) + _ROOM_SECTORS, _MOST_FRONT_SECTORS)
    if header.overhead > most:
        raise _damaged("more stands in front of its grains than its tables can take")
    front = source.read(header.overhead * SECTOR)
    directory = _entries(front, header.directory, count * 4)
    return [_entries(front, sector, length) if sector else None for sector in directory]


def _entries(front: bytes, sector: int, length: int) -> array[int]:
    data = array("I", front[sector * SECTOR : sector * SECTOR + length])
    if len(data) * 4 < length:
        raise _damaged("its tables do not stand in front of its grains, where they should")
    if sys.byteorder == "big":
        data.byteswap()
    return data


def _grain(source: ByteReader, begun: bytes, length: int, grain: int, want: int) -> memoryview:
    packed = begun[:length] + source.read(max(0, length - len(begun)))
    if len(packed) < length:
        raise _damaged("it ends in a grain")
    # A short one may lie within the marker that was read; the rest of its last sector is filling.
    end = _DATA_AT + max(length, len(begun))
    source.skip(-end % SECTOR)
    unpacker = isal_zlib.decompressobj()
    try:
        data = unpacker.decompress(packed, grain + 1)
    except MemoryError:
        raise
    except Exception as error:  # isal has one class, which its type hints do not tell
        raise _damaged(f"a grain cannot be unpacked ({error})") from error
    if not want <= len(data) <= grain or not unpacker.eof:
        raise _damaged(f"a grain has {len(data)} bytes, and should have {want}")
    return memoryview(data)[:want]


def _damaged(how: str) -> Reject:
    return Reject("convert-damaged", f"the VMDK is damaged: {how}; upload it again, or export it again")
