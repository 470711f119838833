"""The ring and the channel of production in one process: real slots that are used again, and no engine behind them."""

from __future__ import annotations

import os
import tempfile
from typing import Any, Iterator, Optional, Union

from douane_plugin import wire
from douane_plugin._json import dumps, loads

from ._pieces import MAX_CHUNK_BYTES

SLOTS = 4
"""A plugin holds at most two: the current chunk, and the chunk before if a view of it lives."""

STALE = 0xDB
"""The byte that fills a slot after its release, so that no stale view looks valid."""

RING_BYTES = SLOTS * MAX_CHUNK_BYTES


class Slots:
    """Shared memory in equal slots, as :class:`douane_plugin._chunks.Chunks` maps it.

    `fd` is a writable file of :data:`RING_BYTES` bytes that the caller closes; None: a temporary file.
    """

    slot_bytes = MAX_CHUNK_BYTES

    def __init__(self, fd: Optional[int] = None) -> None:
        self._file = None
        if fd is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
            self._file.truncate(RING_BYTES)
            fd = self._file.fileno()
        self.fd = fd
        self._free = list(range(SLOTS))
        self._used: list[tuple[int, int, int]] = []  # (image offset of its end, slot, bytes in it)

    def put(self, data: Union[bytes, memoryview], end: int) -> int:
        """Write `data`, which ends at the image offset `end`, into a free slot, and return its offset in the ring."""
        slot = self._free.pop(0)
        self._used.append((end, slot, len(data)))
        os.pwrite(self.fd, data, slot * self.slot_bytes)
        return slot * self.slot_bytes

    def release(self, offset: int) -> None:
        """Free the slots of the bytes up to the image offset `offset`."""
        while self._used and self._used[0][0] <= offset:
            _, slot, length = self._used.pop(0)
            os.pwrite(self.fd, bytes([STALE]) * length, slot * self.slot_bytes)
            self._free.append(slot)

    def close(self) -> None:
        """Close the temporary file; mappings of it live on."""
        if self._file is not None:
            self._file.close()


class LocalChannel:
    """A :class:`douane_plugin._channel.Channel` that makes the frames of one image, and collects those of the plugin.

    `limit` is the N of ``head:N``, or None. `answer` is the last frame of the plugin, and `frames` has those with JSON
    before it.
    """

    def __init__(self, slots: Slots, pieces: Iterator[Any], limit: Optional[int]) -> None:
        self.answer: Optional[tuple[int, dict[str, Any]]] = None
        self.frames: list[tuple[int, dict[str, Any]]] = []
        self.unchanged = False
        self._slots = slots
        self._pieces = pieces
        self._limit = limit
        self._offset = 0
        self._is_cut = False

    def has_more(self) -> bool:
        """Return False, so that the plugin releases each chunk as soon as it can."""
        return False

    def receive(self) -> tuple[int, bytes]:
        """Return the next DATA, HOLE or END frame."""
        if self._is_cut:
            return self._frame(wire.END, self._offset, 1)
        piece = next(self._pieces, None)
        if piece is None or self._offset == self._limit:
            return self._frame(wire.END, self._offset, int(piece is not None))
        length = piece if isinstance(piece, int) else len(piece)
        if self._limit is not None and length > self._limit - self._offset:
            length = self._limit - self._offset
            self._is_cut = True
        start = self._offset
        self._offset += length
        if isinstance(piece, int):
            return self._frame(wire.HOLE, start, length)
        return self._frame(wire.DATA, start, self._slots.put(piece[:length], self._offset), length)

    def _frame(self, kind: int, *numbers: int) -> tuple[int, bytes]:
        return kind, b"".join(number.to_bytes(8, "little") for number in numbers)

    def send(self, kind: int, payload: bytes = b"") -> None:
        """Take a frame without JSON."""
        if kind == wire.UNCHANGED:
            self.unchanged = True

    def send_json(self, kind: int, value: dict[str, Any]) -> None:
        """Take a frame with JSON, as the engine would decode it. Raises TypeError if JSON has no such value."""
        value = loads(dumps(value))
        if kind in (wire.ACCEPT, wire.REFUSE, wire.DEFER, wire.INCOMPLETE):
            self.answer = (kind, value)
        else:
            self.frames.append((kind, value))

    def send_number(self, kind: int, number: int) -> None:
        """Take a RELEASE or PROGRESS frame."""
        if kind == wire.RELEASE:
            self._slots.release(number)
