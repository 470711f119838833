"""Sources that are made of ranges of other sources: linear volumes, and all that is mapped piece by piece."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from douane_guest.errors import Broken
from douane_guest.source import Source, check_range

MAX_PIECE = 1 << 20


class Piece(NamedTuple):
    """`size` bytes of a volume, which lie in a source from `offset` on."""

    size: int
    source: Source | None
    """None: zeros."""

    offset: int


class Pieces:
    """A volume of pieces, one behind the other."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = [piece for piece in pieces if piece.size]
        self._starts = []
        position = 0
        for piece in self._pieces:
            if piece.size < 0 or piece.offset < 0:
                raise Broken("a piece of a volume has a negative size or offset")
            if piece.source is not None and piece.offset + piece.size > piece.source.size:
                raise Broken(
                    f"a piece of a volume has {piece.size} bytes at {piece.offset}, beyond the end of its device, "
                    f"which is at {piece.source.size}"
                )
            self._starts.append(position)
            position += piece.size
        self.size = position

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`~douane_guest.source.Source`."""
        check_range(self, offset, count)
        parts = []
        index = bisect_right(self._starts, offset) - 1
        while count:
            piece = self._pieces[index]
            skip = offset - self._starts[index]
            length = min(count, piece.size - skip)
            parts.append(bytes(length) if piece.source is None else piece.source.pread(piece.offset + skip, length))
            offset += length
            count -= length
            index += 1
        return parts[0] if len(parts) == 1 else b"".join(parts)
