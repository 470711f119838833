"""The disk of a plain qcow2 image while the image arrives, as far as what has arrived is next on the disk.

qemu-img and cloud builders write clusters in the order of the disk, each table before what it points to: then all of
the disk comes out with the last byte of the image, its digests and its copy are made meanwhile, and nothing is read
back. What stands out of order is waited for. An image that turns out not to be plain is given up at that place: the
rest of its disk is for others to read.
"""

from __future__ import annotations

import os

from douane.plugins.formats.qcow2_entries import OFFSET, L2Entries
from douane.plugins.formats.qcow2_header import V3_BYTES

from .files import zeros
from .qcow2_disk import ZERO_FLAG, l1_bytes, plain_header, plain_l1, plain_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from douane.plugins.formats.qcow2_header import Qcow2Header

_SECTOR_BYTES = 512
_PIECE_BYTES = 1 << 20
_MOST_ZEROS = 1 << 30
"""At once: a table that is not there stands for up to 512 GiB."""


class Following:
    """The image arrives in the regular file `fd`, and :meth:`more` is told of each piece. `head` is its beginning, as
    far as it has been seen.

    `position` is how many bytes of the disk were given out.
    """

    def __init__(self, fd: int, head: bytes) -> None:
        self.position = 0
        self._fd = fd
        self._header = plain_header(head[:V3_BYTES])
        if self._header is not None and self._header.size % _SECTOR_BYTES:
            self._header = None  # qemu-img makes it longer
        self._places: list[int] | None = None
        self._number = -1
        self._table: array[int] | None = None

    @property
    def size(self) -> int:
        """Bytes of the disk; 0 if nothing is given out here."""
        return self._header.size if self._header is not None else 0

    def more(self, start: int, piece: bytes | memoryview) -> Iterator[bytes | memoryview]:
        """What comes next on the disk, now that `piece` stands in the file from `start` on, and all before it."""
        end = start + len(piece)
        while self._header is not None and self.position < self._header.size:
            if not self._is_there(self._header, end):
                return
            at, length = self._run(self._header, end)
            if not length:
                return
            self.position += length
            if at is None:
                yield from zeros(length)
                continue
            yield from self._kept(at, min(length, start - at))
            if at + length > start:
                yield memoryview(piece)[max(0, at - start) : at + length - start]

    def _is_there(self, header: Qcow2Header, end: int) -> bool:
        """Whether the table of `position` has arrived, and is plain."""
        if self._places is None:
            length = l1_bytes(header)
            if header.l1_table_offset + length > end:
                return False
            self._places = plain_l1(header, self._read(header.l1_table_offset, length))
        number = self.position // (header.cluster_size // 8 * header.cluster_size)
        if self._places is not None and number != self._number:
            at = self._places[number]
            if at + header.cluster_size > end:
                return False
            if not at:
                self._table = None
            else:
                entries = L2Entries(header.cluster_bits, header.l2_entry_bytes)
                found = plain_table(header, entries, self._read(at, header.cluster_size))
                if found is None:
                    self._places = None
                else:
                    self._table = found[0]
            self._number = number
        if self._places is None:
            self._header = None  # for others
        return self._header is not None

    def _run(self, header: Qcow2Header, end: int) -> tuple[int | None, int]:
        """Where the bytes of the disk from `position` on stand in the file, None for zeros; and how many of them."""
        cluster, left = header.cluster_size, header.size - self.position
        covered = cluster // 8 * cluster
        if self._table is None:
            return None, min(covered - self.position % covered, left, _MOST_ZEROS)
        length, first = 0, 0
        for number in range(self.position % covered // cluster, len(self._table)):
            entry = self._table[number]
            at = 0 if entry & ZERO_FLAG else entry & OFFSET
            if not length:
                first = at
            if at != (first + length if first else 0) or at + cluster > end:
                break
            length += cluster
        return first or None, min(length, left)

    def _kept(self, at: int, length: int) -> Iterator[memoryview]:
        while length > 0:
            data = self._read(at, min(length, _PIECE_BYTES))
            yield memoryview(data)
            at += len(data)
            length -= len(data)

    def _read(self, at: int, length: int) -> bytes:
        """It has arrived; what the file does not have yet are zeros."""
        return os.pread(self._fd, length, at).ljust(length, b"\0")
