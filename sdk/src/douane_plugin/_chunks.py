"""The bytes of an image as they arrive: leases on slots of the shared ring.

The engine writes each block once into shared memory and reuses its slot when every reader has let go. The
chunk handed to the plugin is a view of that memory, so it must not be looked at after it was let go:

- the chunk itself is released when the next one is asked for, so using it raises ValueError;
- a slice of it, or an array over it, cannot be revoked in CPython. It is noticed by the reference that it
  holds on the slot's mapping. The slot is then kept for one more chunk (`part = chunk[8:]` in a loop is
  still bound when the next chunk is asked for, and harmless); if it is alive after that, BufferError is
  raised, because its bytes would have changed under the plugin.
"""

from __future__ import annotations

import sys

from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ._channel import Channel

ZERO_BYTES = 1 << 20
"""Length in bytes of the chunks that a hole is handed out in."""

TELL_IN_HOLE = 64
"""Chunks of zeros after which the engine is told that this reader lives; they hold no slot."""

RELEASE_EVERY = 4
"""Chunks after which the engine is told, even when more wait already: each telling wakes the engine."""


class Chunks:
    """An iterator's worth of chunks. `take` gives the next; the one before is then let go of."""

    def __init__(self, channel: Channel, ring_fd: int, slot_bytes: int) -> None:
        self._channel = channel
        self._fd = ring_fd
        self._slot_bytes = slot_bytes
        self._slots: dict[int, Any] = {}
        self._idle: dict[int, int] = {}  # references on a slot's mapping when nobody looks at it
        self._slot: Optional[int] = None  # the slot of the chunk that is out
        self._kept: Optional[tuple[int, int]] = None  # (slot, image offset) of a chunk of which a view lives on
        self._hole = (0, 0)
        self._zeros: Optional[bytes] = None
        self._end = 0  # image offset after the chunk that is out
        self._start = 0
        self._told = 0
        self._untold = 0
        self.ended = False
        self.goes_on = False

    def take(self) -> Optional[memoryview]:
        """The next chunk, or None at the end. All views of the one before the last must be gone."""
        self._let_go()
        if self.ended:
            return None
        at, end = self._hole
        if at < end:
            if self._untold >= TELL_IN_HOLE:
                self.tell()
            return self._zero_chunk(at, end)
        if self._untold and (self._untold >= RELEASE_EVERY or not self._channel.has_more()):
            self.tell()
            if self._kept is not None and self._end > self._told:
                self._channel.send_number(wire.PROGRESS, self._end)  # waiting is not stalling
        kind, payload = self._channel.receive()
        first = int.from_bytes(payload[:8], "little")
        if kind == wire.DATA:
            place = int.from_bytes(payload[8:16], "little")
            length = int.from_bytes(payload[16:24], "little")
            return self._data_chunk(first, place, length)
        if kind == wire.HOLE:
            return self._zero_chunk(first, first + int.from_bytes(payload[8:16], "little"))
        if kind == wire.END:
            self.ended = True
            self.goes_on = payload[8] == 1
            # The last slots stay held until the verdict: so a plugin that reads only the head keeps the
            # engine from reading gigabytes of an image that is about to be refused.
            return None
        raise ValueError(f"the engine sent a frame of type {kind} in the middle of the data")

    def _data_chunk(self, first: int, place: int, length: int) -> memoryview:
        slot, inside = divmod(place, self._slot_bytes)
        mapping = self._slots.get(slot)
        if mapping is None:
            import mmap

            mapping = mmap.mmap(
                self._fd, self._slot_bytes, mmap.MAP_SHARED, mmap.PROT_READ, offset=slot * self._slot_bytes
            )
            self._slots[slot] = mapping
            self._idle[slot] = sys.getrefcount(mapping)
        self._slot = slot
        self._start, self._end = first, first + length
        return memoryview(mapping)[inside : inside + length]

    def _zero_chunk(self, at: int, end: int) -> memoryview:
        if self._zeros is None:
            self._zeros = bytes(ZERO_BYTES)
        length = min(end - at, ZERO_BYTES)
        self._hole = (at + length, end)
        self._start, self._end = at, at + length
        return memoryview(self._zeros)[:length]  # never changes: a view that is kept shows what it showed

    def _in_use(self, slot: int) -> bool:
        mapping = self._slots[slot]
        return sys.getrefcount(mapping) > self._idle[slot]

    def _let_go(self) -> None:
        kept = self._kept
        if kept is not None and self._in_use(kept[0]):
            import gc

            gc.collect()  # a caught exception's frames may hold it in a cycle
            if self._in_use(kept[0]):
                raise BufferError(
                    f"a view of the chunk at offset {kept[1]} is still in use two chunks later, and its memory is "
                    "about to hold other bytes; copy what you keep: bytes(view)"
                )
        self._kept = None
        slot, self._slot = self._slot, None
        if self._end > self._start:
            self._untold += 1
        if slot is not None and self._in_use(slot):
            self._kept = (slot, self._start)

    def tell(self) -> None:
        """Tell the engine how far this reader has let go."""
        offset = self._kept[1] if self._kept is not None else self._end
        self._untold = 0
        if offset > self._told:
            self._told = offset
            self._channel.send_number(wire.RELEASE, offset)
