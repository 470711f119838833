"""The first sector of an NTFS volume.

Microsoft publishes no specification: the structures of this package are those of the documentation of the Linux-NTFS
project (flatcap.github.io/linux-ntfs) and of the kernel's ntfs3, checked against what mkfs.ntfs and ntfs-3g write.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from douane_guest.errors import Broken

BOOT_BYTES = 512
MAGIC = b"NTFS    "
_FIELDS = struct.Struct("<3s8sHB26xQQQb3xb3xQ")
_MOST_CLUSTER = 2 << 20
_MOST_RECORD = 4096


class Boot(NamedTuple):
    """Sizes in bytes."""

    cluster: int
    clusters: int
    mft: int
    """Where the table of all files begins."""

    record: int
    """Of a file in that table."""

    serial: int


def parse(data: bytes) -> Boot:
    """Raises Broken if it is not the first sector of NTFS, or its numbers are out of their ranges."""
    _, magic, sector, per_cluster, sectors, mft, _, record, _, serial = _FIELDS.unpack_from(data)
    if magic != MAGIC:
        raise Broken("the first sector is not that of NTFS")
    if per_cluster > 0x80:
        per_cluster = 1 << 256 - per_cluster
    if sector not in (256, 512, 1024, 2048, 4096) or not per_cluster or per_cluster & (per_cluster - 1):
        raise Broken(f"NTFS with sectors of {sector} bytes and {per_cluster} of them in a cluster")
    cluster = sector * per_cluster
    record_bytes = record * cluster if record > 0 else 1 << min(-record, 63)
    if cluster > _MOST_CLUSTER or not 512 <= record_bytes <= _MOST_RECORD or record_bytes & (record_bytes - 1):
        raise Broken(f"NTFS with clusters of {cluster} bytes and records of {record_bytes}")
    clusters = sectors // per_cluster
    if not mft < clusters < 1 << 52:
        raise Broken(f"the table of files of NTFS begins at cluster {mft} of {clusters}")
    return Boot(cluster=cluster, clusters=clusters, mft=mft * cluster, record=record_bytes, serial=serial)
