"""The boot region of an exFAT file system.

Microsoft's "exFAT file system specification" (learn.microsoft.com/windows/win32/fileio/exfat-specification), section 3.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from douane_guest.errors import Broken, Unsupported
from douane_guest.source import Source

BOOT_BYTES = 512
MAGIC = b"EXFAT   "
_FIELDS = struct.Struct("<3s8s53s8xQIIIIIIHHBBB")
_SECTORS = 12
_NOT_SUMMED = (106, 107, 112)
"""The flags and the share in use, which change while it is mounted."""

_SECOND_TABLE, _DIRTY = 1, 2


class Boot(NamedTuple):
    """Sizes and places, in bytes."""

    cluster: int
    clusters: int
    table: int
    data: int
    root_cluster: int
    serial: int
    dirty: bool


def read(source: Source) -> Boot:
    """Raises Broken for a boot region that contradicts itself, Unsupported for two tables in turn (TexFAT)."""
    first = source.pread(0, BOOT_BYTES)
    (
        _,
        magic,
        zeros,
        volume,
        table,
        table_length,
        heap,
        clusters,
        root,
        serial,
        revision,
        flags,
        sector_bits,
        more_bits,
        tables,
    ) = _FIELDS.unpack_from(first)
    if magic != MAGIC or any(zeros) or first[510:512] != b"\x55\xaa":
        raise Broken("the first sector is not that of an exFAT file system")
    if not 9 <= sector_bits <= 12 or more_bits > 25 - sector_bits or tables not in (1, 2):
        raise Broken("the sizes in the first sector of the exFAT file system are out of their ranges")
    if revision >> 8 != 1:
        raise Unsupported(f"the exFAT file system has version {revision >> 8}.{revision & 255}")
    if tables == 2 and flags & _SECOND_TABLE:
        raise Unsupported("the exFAT file system has two tables, and the second is in use")
    if table_length << sector_bits < (clusters + 2) * 4 or heap < table + table_length * tables:
        raise Broken("the table of the exFAT file system does not fit into its place")
    if not 0 < clusters <= 0xFFFFFFF5 or heap + (clusters << more_bits) > volume:
        raise Broken(f"the exFAT file system has {clusters} clusters in {volume} sectors")
    _check_sum(source, 1 << sector_bits)
    return Boot(
        cluster=1 << sector_bits + more_bits,
        clusters=clusters,
        table=table << sector_bits,
        data=heap << sector_bits,
        root_cluster=root,
        serial=serial,
        dirty=bool(flags & _DIRTY),
    )


def _check_sum(source: Source, sector: int) -> None:
    """The twelfth sector repeats the sum of the eleven before."""
    data = source.pread(0, _SECTORS * sector)
    value = 0
    for place, byte in enumerate(data[:-sector]):
        if place not in _NOT_SUMMED:
            value = ((value << 31 | value >> 1) + byte) & 0xFFFFFFFF
    if data[-sector:] != struct.pack("<I", value) * (sector // 4):
        raise Broken("the checksum of the boot region of the exFAT file system is wrong")
