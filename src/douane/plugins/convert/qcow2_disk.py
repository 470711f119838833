"""The disk of a plain qcow2 image that has been kept in a file. qemu-img would copy it three times on its way.

`formats.qcow2_map` says whether the image is plain, and where its disk is; any other image is left to qemu-img.
"""

from __future__ import annotations

import os

from douane.plugins.formats.qcow2_map import map_of
from douane_guest.headers.qcow2 import V3_BYTES

from .files import zeros

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator

    from douane.plugins.formats.qcow2_map import Qcow2Map

_PIECE_BYTES = 1 << 20


def read_disk(fd: int, size: int) -> Iterator[bytes | memoryview] | None:
    """The `size` bytes of the disk of the image in the regular file `fd`; None if the image is not plain."""
    plain = map_of(os.pread(fd, V3_BYTES, 0))
    if plain is None or plain.size != size:
        return None
    tables = _read_tables(fd, plain)
    return None if tables is None else _read(fd, plain, tables)


def _read_tables(fd: int, plain: Qcow2Map) -> list[array[int] | None] | None:
    """The cluster offsets of each L2 table, None for a table that is not there. None if the image is not plain."""
    end = os.fstat(fd).st_size
    l1 = os.pread(fd, plain.l1_bytes, plain.l1_offset) if plain.l1_offset <= end else b""
    offsets = plain.table_offsets(l1) if len(l1) == plain.l1_bytes else None
    if offsets is None:
        return None
    tables: list[array[int] | None] = []
    for at in offsets:
        if not at:
            tables.append(None)
            continue
        if at + plain.cluster_size > end:
            return None
        table = plain.cluster_offsets(os.pread(fd, plain.cluster_size, at))
        if table is None or table[1] >= end:
            return None
        tables.append(table[0])
    return tables


def _read(fd: int, plain: Qcow2Map, tables: Iterable[array[int] | None]) -> Iterator[bytes | memoryview]:
    view = memoryview(bytearray(_PIECE_BYTES))
    for start, length in _runs(plain, tables):
        if start is None:
            yield from zeros(length)
            continue
        at, end = start, start + length
        while at < end:
            count = os.preadv(fd, [view[: min(end - at, _PIECE_BYTES)]], at)
            if not count:
                break  # the last cluster of a file need not be written to its end
            yield view[:count]
            at += count
        yield from zeros(end - at)


def _runs(plain: Qcow2Map, tables: Iterable[array[int] | None]) -> Iterator[tuple[int | None, int]]:
    """Where the disk's bytes are in the file, in order: (offset or None for zeros, length)."""
    rest = plain.size
    start: int | None = None
    length = 0
    for table in tables:
        if table is None:
            runs: Iterable[tuple[int | None, int]] = [(None, plain.table_bytes)]
        else:
            runs = ((offset or None, plain.cluster_size) for offset in table)
        for offset, run_bytes in runs:
            count = min(run_bytes, rest)
            if length and (offset is None if start is None else offset == start + length):
                length += count
            else:
                if length:
                    yield start, length
                start, length = offset, count
            rest -= count
            if not rest:
                yield start, length
                return
