"""A file of a guest, open: its bytes in order, or at an offset, and its digest."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from .budget import Budget
from .errors import Broken, TooMuch

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from .filesystems.base import FileSystem, Node

ZEROS = bytes(1 << 20)
STEPS_FOR_ZEROS = 1024
"""Steps that a MiB of a hole costs when it is hashed. With the 200 million steps of a budget, 190 GiB of holes."""


class Hasher(Protocol):
    """An object of hashlib."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""


class GuestFile(io.RawIOBase):
    """The bytes of a file; holes are zeros. Reads raise the three exceptions of `errors.py`."""

    def __init__(self, system: FileSystem, node: Node, budget: Budget) -> None:
        self._system = system
        self._budget = budget
        self._position = 0
        self._pieces: Iterator[tuple[int, bytes]] | None = None
        self._piece = (0, b"")
        self.node = node
        self.size = node.size

    def chunks(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Pieces `(offset, data)`, ascending; what lies between them is zero."""
        end = start
        for offset, data in self._system.chunks(self.node, start):
            if offset + len(data) <= start:
                continue
            if offset < end and end != start:
                raise Broken(f"two pieces of a file overlap at byte {offset}")
            end = offset + len(data)
            if end > self.size:
                raise Broken(f"a file of {self.size} bytes has data up to byte {end}")
            self._budget.deliver(len(data))
            yield offset, data

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, which may be beyond the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError("a position before the first byte")
        if base + offset != self._position:
            self._pieces = None
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer; 0 at the end."""
        view = memoryview(buffer).cast("B")
        count = min(len(view), self.size - self._position)
        if count <= 0:
            return 0
        if self._pieces is None:
            self._pieces = self.chunks(self._position)
            self._piece = next(self._pieces, (self.size, b""))
        while self._piece[0] + len(self._piece[1]) <= self._position and self._piece[0] < self.size:
            self._piece = next(self._pieces, (self.size, b""))
        offset, data = self._piece
        if offset > self._position:
            count = min(count, offset - self._position, len(ZEROS))
            view[:count] = ZEROS[:count]
        else:
            count = min(count, offset + len(data) - self._position)
            view[:count] = memoryview(data)[self._position - offset :][:count]
        self._position += count
        return count

    def pread(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes at an offset, as a :class:`~douane_guest.source.Source` has them."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise Broken(f"{count} bytes at {offset} lie beyond the end of the file, which is at {self.size}")
        self.seek(offset)
        parts = []
        while count:
            part = self.read(count)
            if not part:
                raise Broken(f"the file ends at byte {self._position}, before its size")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def read_all(self, most: int) -> bytes:
        """All bytes. Raises TooMuch for a file that is larger than `most`."""
        if self.size > most:
            raise TooMuch(f"the file has {self.size} bytes, more than the {most} that are read at once")
        return self.pread(0, self.size)

    def add_to(self, digest: Hasher) -> None:
        """Add all bytes to an object of hashlib. Holes count as steps, so that a file of 2^60 bytes ends."""
        position = 0
        for offset, data in self.chunks():
            self._add_zeros(digest, offset - position)
            digest.update(data)
            position = offset + len(data)
        self._add_zeros(digest, self.size - position)

    def sha256(self) -> str:
        """The digest of the bytes."""
        from hashlib import sha256  # 4 ms, which a reader of packages needs not

        digest = sha256()
        self.add_to(digest)
        return digest.hexdigest()

    def _add_zeros(self, digest: Hasher, count: int) -> None:
        self._budget.step(count // len(ZEROS) * STEPS_FOR_ZEROS)
        while count > 0:
            digest.update(ZEROS[: min(count, len(ZEROS))])
            count -= len(ZEROS)
