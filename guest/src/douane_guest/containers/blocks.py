"""A disk in blocks of one size, each of which is somewhere in the file, packed, or zeros: all containers but raw ones.

A container says where a block is (`place`), how a packed one is unpacked (`unpack`), and which blocks may be skipped
(`next_used`). Everything else is here, the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator

from douane_guest.budget import Budget, check_size
from douane_guest.source import Source, check_range

from .base import Extent

ZERO, PACKED = -1, -2
"""Places of blocks that are not plain bytes of the file."""

_KEPT_BYTES = 4 << 20
"""Of unpacked blocks: file systems read the same block many times, a few KiB each."""


class BlockDisk(ABC):
    """A disk of `size` bytes in blocks of `block` bytes; the last one may be shorter."""

    format = ""
    sector_size = 512

    def __init__(self, source: Source, budget: Budget, size: int, block: int) -> None:
        self.size = size
        self._source, self._budget, self._block = source, budget, block
        self._unpacked: OrderedDict[int, bytes] = OrderedDict()

    @abstractmethod
    def place(self, number: int) -> int:
        """The offset in the file of a block, or ZERO, or PACKED."""

    def unpack(self, number: int) -> bytes:
        """All bytes of a packed block; called after `place`, with the same number. Only for
        containers that have such."""
        raise AssertionError("the container has no packed blocks")

    def next_used(self, number: int) -> int:
        """The first block from `number` on that may hold data."""
        return number

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`~douane_guest.source.Source`."""
        check_range(self, offset, count)
        check_size(count, "a read of the disk")
        if not count:
            return b""
        parts = [self._read(*run) for run in self._runs(offset, offset + count)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def extents(self) -> Iterator[Extent]:
        """See :class:`~douane_guest.containers.base.Disk`."""
        blocks = -(-self.size // self._block)
        number = first = self.next_used(0)
        while number < blocks:
            self._budget.step()
            if self.place(number) != ZERO:
                number += 1
                continue
            if first < number:
                yield self._extent(first, number)
            number = first = max(number + 1, self.next_used(number + 1))
        if first < blocks:
            yield self._extent(first, blocks)

    def _extent(self, first: int, end: int) -> Extent:
        start = first * self._block
        return Extent(start, min(end * self._block, self.size) - start)

    def _runs(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Offset, length and place of ranges that are read at once; a packed block is a range of its own."""
        block = self._block
        number, inside = divmod(start, block)
        place = self.place(number)
        if place >= 0:
            place += inside
        at, position = start, start - inside + block
        while position < end:
            number += 1
            following = self.place(number)
            joins = following == place + position - at if place >= 0 else following == place == ZERO
            if not joins:
                yield at, position - at, place
                at, place = position, following
            position += block
        yield at, end - at, place

    def _read(self, at: int, count: int, place: int) -> bytes:
        if place >= 0:
            return self._source.pread(place, count)
        if place == ZERO:
            return bytes(count)
        number, inside = divmod(at, self._block)
        return self._unpacked_block(number)[inside : inside + count]

    def _unpacked_block(self, number: int) -> bytes:
        data = self._unpacked.get(number)
        if data is None:
            self.place(number)
            self._budget.step(1 + self._block // 4096)
            data = self._unpacked[number] = self.unpack(number)
            if len(self._unpacked) > max(1, _KEPT_BYTES // self._block):
                self._unpacked.popitem(last=False)
        else:
            self._unpacked.move_to_end(number)
        return data
