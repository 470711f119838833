"""A stream-optimized VMDK, read as it arrives: its grains stand in the order of the disk, each behind a marker
("Virtual Disk Format 5.0", VMware, "Stream-Optimized Compressed Sparse Extents").

Of its tables nothing is needed. That they say the same as the stream, and all else that makes an image safe, is found
out by the examination of the same bytes, which has the last word: what is told here is only how to go on.
"""

from __future__ import annotations

from struct import Struct

from isal import isal_zlib

from douane.plugins.formats.vmdk_sparse import MAX_VERSION, Header
from douane_plugin import Reject

from .files import zeros

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane.plugins.unpacking.source import Source

SECTOR = 512
MAX_GRAIN_SECTORS = 2048
"""Of 1 MiB; tools make grains of 64 KiB. One grain is held in memory, packed and not."""

_MARKER = Struct("<QII")
_REST_OF_MARKER = SECTOR - _MARKER.size
_DATA_AT = 12
_NEVER_SO_MANY_SECTORS = 1 << 40


def fits(header: Header) -> bool:
    """True if the stream can be read by :func:`disk`."""
    return (
        0 < header.version <= MAX_VERSION
        and header.compression == 1
        and bool(header.flags & 1 << 17)
        and 0 < header.grain <= MAX_GRAIN_SECTORS
        and not header.grain & header.grain - 1
        and 0 < header.capacity < _NEVER_SO_MANY_SECTORS
        and 0 < header.overhead < _NEVER_SO_MANY_SECTORS
    )


def disk(source: Source, header: Header) -> Iterator[bytes | memoryview]:
    """The bytes of the disk, in order, from the image's beginning on. All of `source` is read. Raises Reject."""
    size, grain = header.capacity * SECTOR, header.grain * SECTOR
    at = 0
    if not source.skip(header.overhead * SECTOR):
        raise _damaged("it ends before its first grain")
    while True:
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
        yield from zeros(start - at)
        data = _grain(source, marker[_DATA_AT:], length, grain, min(grain, size - start))
        yield data
        at = start + len(data)
    yield from zeros(size - at)
    while source.take(1 << 20):
        pass


def _grain(source: Source, begun: bytes, length: int, grain: int, want: int) -> memoryview:
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
