"""The first sector of a FAT file system: where its parts lie.

Microsoft's "FAT32 File System Specification" 1.03; where it leaves a choice, Linux' vfat decides (fs/fat/inode.c).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from douane_guest.errors import Broken, Unsupported

BOOT_BYTES = 512
_BPB = struct.Struct("<3s8sHBHBHHBHHHII")
_FAT32 = struct.Struct("<IHHIHH12sBBBI")
_FAT16 = struct.Struct("<BBBI")
_EXTENDED = (0x28, 0x29)
_DIRTY = 1
_MIRRORING_OFF, _ACTIVE_FAT = 0x80, 0x0F
_MOST_CLUSTERS = {12: 0xFF4, 16: 0xFFF4, 32: 0x0FFFFFF6}
_ENTRY_BYTES = 32


class Boot(NamedTuple):
    """Sizes and places, in bytes."""

    bits: int
    """12, 16 or 32: the size of an entry of the table."""

    cluster: int
    clusters: int
    """How many there are; their numbers begin at 2."""

    table: int
    data: int
    """Where cluster 2 begins."""

    root_place: int
    root_bytes: int
    """The fixed root folder of FAT12 and FAT16."""

    root_cluster: int
    """The first cluster of the root folder of FAT32, else 0."""

    serial: int | None
    dirty: bool


def parse(data: bytes) -> Boot:
    """Raises Broken if it is not the first sector of a FAT file system."""
    (_, _, sector, per_cluster, reserved, fats, root_entries, sectors16, media, table16, _, _, _, sectors32) = (
        _BPB.unpack_from(data)
    )
    if sector not in (512, 1024, 2048, 4096) or per_cluster == 0 or per_cluster & (per_cluster - 1):
        raise Broken("the first sector is not that of a FAT file system")
    if reserved == 0 or fats == 0 or (media < 0xF8 and media != 0xF0):
        raise Broken("the first sector is not that of a FAT file system")
    wide = table16 == 0
    (table32, flags, version, root, _, _, _, _, state32, signature32, serial32) = _FAT32.unpack_from(data, 36)
    table_sectors = table32 if wide else table16
    if root_entries * _ENTRY_BYTES % sector or (wide and root_entries):
        raise Broken(
            f"the root folder of the FAT file system has {root_entries} entries, not a whole number of sectors"
        )
    root_sector = reserved + fats * table_sectors
    data_sector = root_sector + root_entries * _ENTRY_BYTES // sector
    clusters = ((sectors16 or sectors32) - data_sector) // per_cluster
    if table_sectors == 0 or clusters <= 0:
        raise Broken("the FAT file system has no table, or no cluster")
    bits = 32 if wide else 16 if clusters > _MOST_CLUSTERS[12] else 12
    clusters = min(clusters, table_sectors * sector * 8 // bits - 2)
    if not 0 < clusters <= _MOST_CLUSTERS[bits]:
        raise Broken(f"the FAT{bits} file system has {clusters} clusters")
    if wide and version:
        raise Unsupported(f"the FAT32 file system has version {version >> 8}.{version & 255}")
    if wide and flags & _MIRRORING_OFF and flags & _ACTIVE_FAT:
        raise Unsupported("the FAT32 file system keeps only a later copy of its table up to date")
    _, state16, signature16, serial16 = _FAT16.unpack_from(data, 36)
    state, signature, serial = (state32, signature32, serial32) if wide else (state16, signature16, serial16)
    return Boot(
        bits=bits,
        cluster=per_cluster * sector,
        clusters=clusters,
        table=reserved * sector,
        data=data_sector * sector,
        root_place=root_sector * sector,
        root_bytes=root_entries * _ENTRY_BYTES,
        root_cluster=root if wide else 0,
        serial=serial if signature in _EXTENDED else None,
        dirty=bool(state & _DIRTY),
    )
