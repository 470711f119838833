"""The disk of a plain qcow2 image while the image arrives: all bytes of the disk that follow each other and are there.

qemu-img and cloud builders write clusters in the order of the disk, and each table before the clusters that it points
to. So the last byte of the image completes the disk, its digests and its copy are made meanwhile, and nothing is read
back. A cluster out of order is waited for. If the image turns out not to be plain, the disk ends there, and the caller
reads the rest in another way.
"""

from __future__ import annotations

import os

from douane.plugins.formats.qcow2_map import map_of
from douane_guest.headers.qcow2 import V3_BYTES

from .files import zeros

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from douane.plugins.formats.qcow2_map import Qcow2Map

_SECTOR_BYTES = 512
_PIECE_BYTES = 1 << 20
_MAX_ZEROS = 1 << 30
"""At once: a missing table stands for up to 512 GiB."""


class Qcow2Stream:
    """The image arrives in the regular file `fd`; call :meth:`advance` for each piece. `head` is its beginning, as far
    as it has been seen.

    `position` is the number of bytes of the disk that were yielded.
    """

    def __init__(self, fd: int, head: bytes) -> None:
        self.position = 0
        self._fd = fd
        self._map = map_of(head[:V3_BYTES])
        if self._map is not None and self._map.size % _SECTOR_BYTES:
            self._map = None  # qemu-img makes the disk longer
        self._tables: list[int] | None = None
        self._number = -1
        self._table: array[int] | None = None

    @property
    def size(self) -> int:
        """Bytes of the disk; 0 if the image is not plain."""
        return self._map.size if self._map is not None else 0

    def advance(self, start: int, piece: bytes | memoryview) -> Iterator[bytes | memoryview]:
        """Yield the next bytes of the disk, now that `piece` is in the file at `start`, and all bytes before it."""
        end = start + len(piece)
        while self._map is not None and self.position < self._map.size:
            if not self._read_table(self._map, end):
                return
            at, length = self._run(self._map, end)
            if not length:
                return
            self.position += length
            if at is None:
                yield from zeros(length)
                continue
            yield from self._read_back(at, min(length, start - at))
            if at + length > start:
                yield memoryview(piece)[max(0, at - start) : at + length - start]

    def _read_table(self, plain: Qcow2Map, end: int) -> bool:
        """Read the table for `position`; False if it has not arrived, or if the image is not plain."""
        if self._tables is None:
            if plain.l1_offset + plain.l1_bytes > end:
                return False
            self._tables = plain.table_offsets(self._read(plain.l1_offset, plain.l1_bytes))
        number = self.position // plain.table_bytes
        if self._tables is not None and number != self._number:
            at = self._tables[number]
            if at + plain.cluster_size > end:
                return False
            self._table = None
            if at:
                table = plain.cluster_offsets(self._read(at, plain.cluster_size))
                if table is None:
                    self._tables = None
                else:
                    self._table = table[0]
            self._number = number
        if self._tables is None:
            self._map = None
        return self._map is not None

    def _run(self, plain: Qcow2Map, end: int) -> tuple[int | None, int]:
        """Where the bytes of the disk from `position` on are in the file, None for zeros; and how many of them."""
        rest, in_table = plain.size - self.position, self.position % plain.table_bytes
        if self._table is None:
            return None, min(plain.table_bytes - in_table, rest, _MAX_ZEROS)
        length, first = 0, 0
        for number in range(in_table // plain.cluster_size, len(self._table)):
            at = self._table[number]
            if not length:
                first = at
            if at != (first + length if first else 0) or at + plain.cluster_size > end:
                break
            length += plain.cluster_size
        return first or None, min(length, rest)

    def _read_back(self, at: int, length: int) -> Iterator[memoryview]:
        while length > 0:
            data = self._read(at, min(length, _PIECE_BYTES))
            yield memoryview(data)
            at += len(data)
            length -= len(data)

    def _read(self, at: int, length: int) -> bytes:
        """Bytes that have arrived; bytes that the file does not have yet are zeros."""
        return os.pread(self._fd, length, at).ljust(length, b"\0")
