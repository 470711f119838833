"""The bytes of a case as chunks, with the validity that chunks have in production.

As `douane_plugin._chunks`: a chunk is revoked when the next one is asked for; what lives on for two chunks raises
BufferError. Few slots are used over and over, so that a view that was kept shows other bytes.
"""

from __future__ import annotations

import gc
import mmap
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

SLOTS = 3
LONGEST = 1 << 20
"""Bytes of a chunk, as in production."""


class Slots:
    """Memory for chunks, used again by every case."""

    def __init__(self) -> None:
        self._mappings: list[Any] = [None] * SLOTS
        self._idle = [0] * SLOTS

    def fresh(self) -> None:
        """Before a case: what the one before keeps is left to it."""
        for number in range(SLOTS):
            if self._mappings[number] is not None and self.in_use(number):
                self._mappings[number] = None

    def write(self, number: int, data: memoryview) -> memoryview:
        """`data` in slot `number`, as a read-only view."""
        mapping = self._mappings[number]
        if mapping is None or len(mapping) < len(data):
            mapping = None
            size = max(1 << 16, len(data))
            # Shared memory without a file is refused in a cage.
            mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self._mappings[number] = mapping
            self._idle[number] = sys.getrefcount(mapping) - 1  # `mapping` here
        mapping[: len(data)] = data
        return memoryview(mapping)[: len(data)].toreadonly()

    def in_use(self, number: int) -> bool:
        """Somebody still holds a view of slot `number`."""
        return self._mappings[number] is not None and sys.getrefcount(self._mappings[number]) > self._idle[number]


class CaseChunks:
    """Chunks of `data`, cut as `lengths` says; what is left after these is one chunk more."""

    def __init__(
        self,
        data: memoryview,
        lengths: Iterator[int],
        slots: Slots,
        event: Callable[[str], None],
        goes_on: bool,
    ) -> None:
        self._data = data
        self._lengths = lengths
        self._slots = slots
        self._event = event
        self._at = 0
        self._start = 0
        self._slot: int | None = None
        self._next = 0
        self._kept: tuple[int, int] | None = None
        self.taken = 0
        self.ended = False
        self._beyond = goes_on
        self.goes_on = False

    def take(self) -> memoryview | None:
        """The next chunk, or None at the end."""
        self._let_go()
        if self._at >= len(self._data):
            self.ended = True
            self.goes_on = self._beyond
            return None
        length = max(1, min(next(self._lengths, LONGEST), LONGEST, len(self._data) - self._at))
        while self._kept is not None and self._kept[0] == self._next:
            self._next = (self._next + 1) % SLOTS
        if self._slots.in_use(self._next):
            self._slots.fresh()
        self._start = self._at
        self._slot = self._next
        self._next = (self._next + 1) % SLOTS
        self._at += length
        self.taken += 1
        return self._slots.write(self._slot, self._data[self._start : self._at])

    def _let_go(self) -> None:
        kept = self._kept
        if kept is not None and self._slots.in_use(kept[0]):
            gc.collect()
            if self._slots.in_use(kept[0]):
                self._event(f"kept:{kept[1]}")
                raise BufferError(
                    f"a view of the chunk at offset {kept[1]} is still in use two chunks later, and its memory is "
                    "about to hold other bytes; copy what you keep: bytes(view)"
                )
        self._kept = None
        slot, self._slot = self._slot, None
        if slot is not None and self._slots.in_use(slot):
            self._kept = (slot, self._start)


class NoChunks:
    """For a plugin that has declared that it reads nothing: that it asks all the same is told."""

    ended = True
    goes_on = True

    def __init__(self, event: Callable[[str], None]) -> None:
        self._event = event

    def take(self) -> memoryview | None:
        self._event("asked")
        return None
