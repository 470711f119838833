"""The ring and the channel of production, in one process: real slots, used again, and no engine behind them."""

from __future__ import annotations

import os
import tempfile
from typing import Any, Iterator, Optional

from douane_plugin import wire
from douane_plugin._json import dumps, loads

from ._pieces import MOST_BYTES, Piece

SLOTS = 4
"""A plugin holds two at most: the chunk that is out, and the one before of which a view is left."""

STALE = 0xDB
"""What a slot is filled with when the plugin has let go of it, so that nothing can look as if it were still there."""


class Slots:
    """Shared memory in equal slots, as :class:`douane_plugin._chunks.Chunks` maps it."""

    slot_bytes = MOST_BYTES

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as this
        self._file.truncate(SLOTS * self.slot_bytes)
        self.fd = self._file.fileno()
        self._free = list(range(SLOTS))
        self._used: list[tuple[int, int, int]] = []  # (image offset after it, slot, bytes in it)

    def put(self, data: bytes, end: int) -> int:
        """Write `data`, which ends at the image offset `end`, into a free slot; its place in the ring."""
        slot = self._free.pop(0)
        self._used.append((end, slot, len(data)))
        os.pwrite(self.fd, data, slot * self.slot_bytes)
        return slot * self.slot_bytes

    def release(self, offset: int) -> None:
        """The plugin has let go of everything before `offset`."""
        while self._used and self._used[0][0] <= offset:
            _, slot, length = self._used.pop(0)
            os.pwrite(self.fd, bytes([STALE]) * length, slot * self.slot_bytes)
            self._free.append(slot)

    def close(self) -> None:
        """Give the memory back; what is mapped of it lives on."""
        self._file.close()


class LocalChannel:
    """A :class:`douane_plugin._channel.Channel` that gives the frames of one image, and keeps what it is told.

    `limit` is N for ``head:N``.
    """

    def __init__(self, slots: Slots, pieces: Iterator[Piece], limit: Optional[int]) -> None:
        self.answer: Optional[tuple[int, dict[str, Any]]] = None
        self.told: list[tuple[int, dict[str, Any]]] = []
        self.unchanged = False
        self._slots = slots
        self._pieces = pieces
        self._limit = limit
        self._at = 0
        self._cut = False

    def has_more(self) -> bool:
        """Never: so each chunk is let go of as soon as it can be."""
        return False

    def receive(self) -> tuple[int, bytes]:
        """The next frame of the data: DATA, HOLE or END."""
        if self._cut:
            return self._frame(wire.END, self._at, 1)
        piece = next(self._pieces, None)
        if piece is None or self._at == self._limit:
            return self._frame(wire.END, self._at, int(piece is not None))
        length = piece if isinstance(piece, int) else len(piece)
        if self._limit is not None and length > self._limit - self._at:
            length = self._limit - self._at
            self._cut = True
        start = self._at
        self._at += length
        if isinstance(piece, int):
            return self._frame(wire.HOLE, start, length)
        return self._frame(wire.DATA, start, self._slots.put(piece[:length], self._at), length)

    def _frame(self, kind: int, *numbers: int) -> tuple[int, bytes]:
        return kind, b"".join(number.to_bytes(8, "little") for number in numbers)

    def send(self, kind: int, payload: bytes = b"") -> None:
        """A frame without JSON."""
        if kind == wire.UNCHANGED:
            self.unchanged = True

    def send_json(self, kind: int, value: dict[str, Any]) -> None:
        """A frame with JSON, which is what the engine would read of it."""
        value = loads(dumps(value))
        if kind in (wire.ACCEPT, wire.REFUSE, wire.DEFER, wire.INCOMPLETE):
            self.answer = (kind, value)
        else:
            self.told.append((kind, value))

    def send_number(self, kind: int, number: int) -> None:
        """RELEASE or PROGRESS."""
        if kind == wire.RELEASE:
            self._slots.release(number)
