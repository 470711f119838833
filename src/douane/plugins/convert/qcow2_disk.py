"""The disk of a plain qcow2 image, read where it stands: what qemu-img would do is copied three times on its way.

Only what every version of qemu reads the same way is read here: no compressed clusters, no subclusters, no encryption,
no other file, no bit that is not known. All else is for qemu-img. The format: qemu, docs/interop/qcow2.txt.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array

from douane.plugins.formats.qcow2_entries import OFFSET, L2Entries
from douane.plugins.formats.qcow2_header import MAGIC, V2_BYTES, V2_FIELDS, V3_BYTES, V3_FIELDS, Qcow2Header
from douane.plugins.formats.qcow2_tables import L1_RESERVED

from .files import zeros

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_CLUSTERS = 1 << 22
"""Of a disk: their entries are kept, 8 bytes each."""

ZERO_FLAG = 1
"""Of an L2 entry: QCOW_OFLAG_ZERO in block/qcow2.h."""

_PIECE_BYTES = 1 << 20


def disk(fd: int, size: int) -> Iterator[bytes | memoryview] | None:
    """The `size` bytes of the disk of the image in the regular file `fd`; None if that is for qemu-img to read."""
    header = plain_header(os.pread(fd, V3_BYTES, 0))
    if header is None or header.size != size:
        return None
    tables = _tables(fd, header)
    return None if tables is None else _read(fd, header, tables)


def plain_header(data: bytes) -> Qcow2Header | None:
    """The header in the first :data:`V3_BYTES` of an image. None if the image is for qemu-img."""
    if len(data) < V3_BYTES or data[:4] != MAGIC:
        return None
    header = Qcow2Header()
    for (name, _), value in zip(V2_FIELDS, struct.unpack(">IQIIQIIQQIIQ", data[4:V2_BYTES]), strict=True):
        setattr(header, name, value)
    if header.version == 3:
        for (name, _), value in zip(V3_FIELDS, struct.unpack(">QQQII", data[V2_BYTES:V3_BYTES]), strict=True):
            setattr(header, name, value)
    if header.version not in (2, 3) or header.incompatible_features or header.crypt_method:
        return None
    if header.backing_file_offset or header.backing_file_size or not 9 <= header.cluster_bits <= 21:
        return None
    if not 0 < -(-header.size // header.cluster_size) <= MOST_CLUSTERS or l1_bytes(header) > header.l1_size * 8:
        return None
    return None if header.l1_table_offset % header.cluster_size else header


def l1_bytes(header: Qcow2Header) -> int:
    """Of the L1 table, as much as the disk needs."""
    clusters = -(-header.size // header.cluster_size)
    return -(-clusters // (header.cluster_size // 8)) * 8


def plain_l1(header: Qcow2Header, data: bytes) -> list[int] | None:
    """Where the L2 tables stand, 0 for one that is not there. None if the image is for qemu-img."""
    found = []
    for (entry,) in struct.iter_unpack(">Q", data):
        at = entry & OFFSET
        if entry & L1_RESERVED or at % header.cluster_size:
            return None
        found.append(at)
    return found


def plain_table(header: Qcow2Header, entries: L2Entries, data: bytes) -> tuple[array[int], int] | None:
    """The entries of the L2 table `data`, and the largest offset in them. None if the image is for qemu-img."""
    found = entries.read(data)
    if found.compressed or found.reserved or found.unaligned:
        return None
    table = array("Q", data)
    if sys.byteorder == "little":
        table.byteswap()
    if header.version == 2 and any(each & ZERO_FLAG for each in table):
        return None
    return table, max(found.offsets)


def _tables(fd: int, header: Qcow2Header) -> list[array[int] | None] | None:
    """The entries of each L2 table of the disk, None for one that is not there. None if one is for qemu-img."""
    cluster, end = header.cluster_size, os.fstat(fd).st_size
    length = l1_bytes(header)
    data = os.pread(fd, length, header.l1_table_offset) if header.l1_table_offset <= end else b""
    places = plain_l1(header, data) if len(data) == length else None
    if places is None:
        return None
    entries = L2Entries(header.cluster_bits, header.l2_entry_bytes)
    tables: list[array[int] | None] = []
    for at in places:
        if not at:
            tables.append(None)
            continue
        if at + cluster > end:
            return None
        found = plain_table(header, entries, os.pread(fd, cluster, at))
        if found is None or found[1] >= end:
            return None
        tables.append(found[0])
    return tables


def _read(fd: int, header: Qcow2Header, tables: Iterable[array[int] | None]) -> Iterator[bytes | memoryview]:
    view = memoryview(bytearray(_PIECE_BYTES))
    for start, length in _runs(header, tables):
        at, left = start or 0, length if start is not None else 0
        while left:
            got = os.preadv(fd, [view[: min(left, _PIECE_BYTES)]], at)
            if not got:
                break  # the last cluster of a file need not be written to its end
            yield view[:got]
            at += got
            left -= got
        yield from zeros(left if start is not None else length)


def _runs(header: Qcow2Header, tables: Iterable[array[int] | None]) -> Iterator[tuple[int | None, int]]:
    """Where in the file the disk's bytes stand, in order: (offset or None for zeros, length)."""
    cluster, left = header.cluster_size, header.size
    start: int | None = None
    length = 0
    for table in tables:
        if table is None:
            places: Iterable[tuple[int | None, int]] = [(None, cluster // 8 * cluster)]
        else:
            places = ((None if each & ZERO_FLAG else each & OFFSET or None, cluster) for each in table)
        for place, bytes_there in places:
            more = min(bytes_there, left)
            if length and (place is None if start is None else place == start + length):
                length += more
            else:
                if length:
                    yield start, length
                start, length = place, more
            left -= more
            if not left:
                yield start, length
                return
