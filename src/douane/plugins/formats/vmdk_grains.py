"""The header and the tables of a stream-optimized VMDK whose grains can be read as they arrive.

"Virtual Disk Format 5.0", VMware, "Stream-Optimized Compressed Sparse Extents". Nothing here reads a file.
"""

import sys
from array import array

from douane_guest.headers.vmdk import MARKERS, MAX_VERSION, VmdkHeader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SECTOR = 512
MAX_GRAIN_SECTORS = 2048
"""Of 1 MiB; tools make grains of 64 KiB. One grain is held in memory, packed and not."""

MAX_SECTORS = 1 << 40
_MAX_ENTRIES = 1 << 16
_OTHER_FRONT_SECTORS = 1 << 12
"""Of what may precede the grains besides tables: header, description, and what fills up a grain."""
_MAX_FRONT_SECTORS = 192 << 20 >> 9
"""More than the tables of 1 TiB, twice. They are kept in memory."""


def is_streamable(header: VmdkHeader) -> bool:
    """True if the grains of the extent can be read as they arrive."""
    return (
        0 < header.version <= MAX_VERSION
        and header.compression == 1
        and bool(header.flags & MARKERS)
        and 0 < header.grain <= MAX_GRAIN_SECTORS
        and not header.grain & header.grain - 1
        and 0 < header.entries <= _MAX_ENTRIES
        and 0 < header.capacity < MAX_SECTORS
        and 0 < header.overhead < MAX_SECTORS
    )


def has_tables_in_front(header: VmdkHeader) -> bool:
    """True if the grain directory precedes the grains; else it follows them, or the footer says where it is."""
    return header.directory < header.overhead


def front_bytes(header: VmdkHeader) -> int:
    """Bytes before the first grain, tables included. Raises ValueError if tables cannot take as many."""
    count, length = header.tables, header.entries * 4
    limit = min(2 * (count * (length + 4) // SECTOR + count) + _OTHER_FRONT_SECTORS, _MAX_FRONT_SECTORS)
    if header.overhead > limit:
        raise ValueError("more precedes its grains than its tables can take")
    return header.overhead * SECTOR


def front_tables(header: VmdkHeader, front: bytes) -> "Sequence[array[int] | None]":
    """The grain tables in `front`, the bytes before the first grain; None for a table without grains.

    The redundant directory is not needed: programs read the first. Raises ValueError.
    """
    directory = _entries(front, header.directory, header.tables * 4)
    return [_entries(front, sector, header.entries * 4) if sector else None for sector in directory]


def _entries(front: bytes, sector: int, length: int) -> "array[int]":
    data = array("I", front[sector * SECTOR : sector * SECTOR + length])
    if len(data) * 4 < length:
        raise ValueError("its tables do not precede its grains, as they should")
    if sys.byteorder == "big":
        data.byteswap()
    return data
