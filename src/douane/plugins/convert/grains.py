"""A stream-optimized VMDK, read as it arrives: its grains follow each other in the order of the disk, each behind a
marker ("Virtual Disk Format 5.0", VMware, "Stream-Optimized Compressed Sparse Extents").

Its tables are not needed. But other programs read the tables and not the markers, so both must agree: tables in front
of the grains are compared here, each entry with its marker, and tables behind them by the examination of the same
bytes. The examination also judges everything else that makes an image safe, and its verdict is final.
"""

from __future__ import annotations

from isal import isal_zlib

from douane.plugins.formats.vmdk_grains import (
    MAX_SECTORS,
    SECTOR,
    front_bytes,
    front_tables,
    has_tables_in_front,
)
from douane_guest.headers.vmdk import GRAIN_DATA_AT, MARKER
from douane_plugin import Reject

from .files import zeros

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator, Sequence

    from douane.plugins._byte_reader import ByteReader
    from douane_guest.headers.vmdk import VmdkHeader

_NO_GRAIN = 2
"""Table entries below say that a grain is missing, or that it is zero."""


def read_disk(source: ByteReader, header: VmdkHeader) -> Iterator[bytes | memoryview]:
    """The bytes of the disk, in order, from the image's beginning on. Reads all of `source`. Raises Reject."""
    size, grain = header.capacity * SECTOR, header.grain * SECTOR
    at = 0
    tables = _read_front(source, header)
    unseen = sum(entry >= _NO_GRAIN for table in tables or () if table for entry in table)
    while True:
        place = source.offset // SECTOR
        marker = source.read(MARKER.size)
        if len(marker) < MARKER.size:
            if marker.strip(b"\0"):
                raise _damaged("it ends in a marker")
            break  # qemu writes no marker of the end, and puts the tables in front
        sector, length, kind = MARKER.unpack(marker)
        if not length:
            if not kind and not sector:
                break
            if sector > MAX_SECTORS or not source.skip(SECTOR - MARKER.size + sector * SECTOR):
                raise _damaged("it ends in a table")
            continue
        start = sector * SECTOR
        if start % grain or start >= size or length > 2 * grain + 4096:
            raise _damaged("a grain does not fit the disk")
        if start < at:
            raise Reject(
                "convert-out-of-order",
                "the parts of the VMDK are not in the order of the disk, so that it cannot be converted as it arrives; "
                "convert it with qemu-img, and upload the result",
            )
        if tables is not None:
            table = tables[start // grain // header.entries]
            if table is None or table[start // grain % header.entries] != place:
                raise _damaged("its tables contradict the places of its grains")
            unseen -= 1
        yield from zeros(start - at)
        data = _unpack(source, marker[GRAIN_DATA_AT:], length, grain, min(grain, size - start))
        yield data
        at = start + len(data)
    if unseen:
        raise _damaged(f"its tables have {unseen} grains more than it holds")
    yield from zeros(size - at)
    while source.take(1 << 20):
        pass


def _read_front(source: ByteReader, header: VmdkHeader) -> Sequence[array[int] | None] | None:
    """Read everything before the first grain; return the tables if they are there. Raises Reject."""
    if not has_tables_in_front(header):
        if not source.skip(header.overhead * SECTOR):
            raise _damaged("it ends before its first grain")
        return None
    try:
        return front_tables(header, source.read(front_bytes(header)))
    except ValueError as error:
        raise _damaged(str(error)) from error


def _unpack(source: ByteReader, begin: bytes, length: int, grain: int, expected: int) -> memoryview:
    packed = begin[:length] + source.read(max(0, length - len(begin)))
    if len(packed) < length:
        raise _damaged("it ends in a grain")
    # A short grain may lie within the marker that was read; the rest of its last sector is padding.
    end = GRAIN_DATA_AT + max(length, len(begin))
    source.skip(-end % SECTOR)
    unpacker = isal_zlib.decompressobj()
    try:
        data = unpacker.decompress(packed, grain + 1)
    except MemoryError:
        raise
    except Exception as error:  # isal has one class of errors, which its type hints do not name
        raise _damaged(f"a grain cannot be unpacked ({error})") from error
    if not expected <= len(data) <= grain or not unpacker.eof:
        raise _damaged(f"a grain has {len(data)} bytes, and should have {expected}")
    return memoryview(data)[:expected]


def _damaged(detail: str) -> Reject:
    return Reject("convert-damaged", f"the VMDK is damaged: {detail}; upload it again, or export it again")
