"""The bytes of an image as they arrive: leases on slots of the shared ring.

The engine writes each block once into shared memory, and reuses its slot when every reader has released it. A chunk
is a view of that memory, so the plugin must not look at it after its release:

- The chunk itself is released when the plugin asks for the next one. Using it then raises ValueError.
- A slice of it, or an array over it, cannot be revoked in CPython, but it holds a reference on the slot's mapping. A
  slot with such a view is held for one more chunk, because `part = chunk[8:]` in a loop is still bound, and harmless,
  when the next chunk is asked for. If the view lives on after that, BufferError is raised: the bytes under it would
  change.
"""

from __future__ import annotations

import os
import sys

from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ._channel import Channel

ZERO_BYTES = 1 << 20
"""Bytes of the chunks that a hole is cut into."""

FILE_CHUNK_BYTES = 1 << 20

REPORT_IN_HOLE = 64
"""Chunks of zeros between two reports to the engine, which show that the plugin works. They hold no slot."""

RELEASE_EVERY = 4
"""Chunks between two reports to the engine while more are waiting. Each report wakes the engine."""


class Chunks:
    """The chunks of one image. :meth:`take` returns the next one and releases the one before.

    `ended` is True after the last chunk; `goes_on` is True if the image has more bytes than the plugin asked for.
    """

    def __init__(self, channel: Channel, ring_fd: int, slot_bytes: int) -> None:
        self._channel = channel
        self._fd = ring_fd
        self._slot_bytes = slot_bytes
        self._mappings: dict[int, Any] = {}  # by slot
        self._idle_references: dict[int, int] = {}  # references on a slot's mapping while nobody looks at it
        self._slot: Optional[int] = None  # the slot of the current chunk
        self._viewed: Optional[tuple[int, int]] = None  # (slot, offset) of the chunk before, if a view of it lives
        self._hole = (0, 0)
        self._zeros: Optional[bytes] = None
        self._start = 0  # image offsets of the current chunk
        self._end = 0
        self._reported = 0  # image offset up to which the engine knows the bytes to be released
        self._unreported = 0  # chunks since then
        self.ended = False
        self.goes_on = False

    def take(self) -> Optional[memoryview]:
        """Return the next chunk, or None at the end.

        Raises BufferError if a view of the chunk before the current one is still in use.
        """
        self._release()
        if self.ended:
            return None
        start, end = self._hole
        if start < end:
            if self._unreported >= REPORT_IN_HOLE:
                self.report()
            return self._zero_chunk(start, end)
        if self._unreported and (self._unreported >= RELEASE_EVERY or not self._channel.has_more()):
            self.report()
            if self._viewed is not None and self._end > self._reported:
                self._channel.send_number(wire.PROGRESS, self._end)  # a plugin that waits for data has not stalled
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
            # The last slots stay held until the verdict, so that a plugin which reads only the head keeps the engine
            # from reading gigabytes of an image that is about to be refused.
            return None
        raise ValueError(f"the engine sent a frame of type {kind} between the frames of the data")

    def _data_chunk(self, first: int, place: int, length: int) -> memoryview:
        slot, start = divmod(place, self._slot_bytes)
        mapping = self._mappings.get(slot)
        if mapping is None:
            import mmap

            mapping = mmap.mmap(
                self._fd, self._slot_bytes, mmap.MAP_SHARED, mmap.PROT_READ, offset=slot * self._slot_bytes
            )
            self._mappings[slot] = mapping
            self._idle_references[slot] = sys.getrefcount(mapping)
        self._slot = slot
        self._start, self._end = first, first + length
        return memoryview(mapping)[start : start + length]

    def _zero_chunk(self, start: int, end: int) -> memoryview:
        if self._zeros is None:
            self._zeros = bytes(ZERO_BYTES)
        length = min(end - start, ZERO_BYTES)
        self._hole = (start + length, end)
        self._start, self._end = start, start + length
        return memoryview(self._zeros)[:length]  # never changes, so its views are harmless

    def _in_use(self, slot: int) -> bool:
        mapping = self._mappings[slot]
        return sys.getrefcount(mapping) > self._idle_references[slot]

    def _release(self) -> None:
        viewed = self._viewed
        if viewed is not None and self._in_use(viewed[0]):
            import gc

            gc.collect()  # the frames of a caught exception may hold the view in a cycle
            if self._in_use(viewed[0]):
                raise BufferError(
                    f"a view of the chunk at offset {viewed[1]} is still in use two chunks later, and its memory is "
                    "about to hold other bytes; copy the bytes that you keep: bytes(view)"
                )
        self._viewed = None
        slot, self._slot = self._slot, None
        if self._end > self._start:
            self._unreported += 1
        if slot is not None and self._in_use(slot):
            self._viewed = (slot, self._start)

    def close(self) -> bool:
        """Unmap the ring; False if the plugin still has a view of it."""
        try:
            for mapping in self._mappings.values():
                mapping.close()
        except BufferError:
            return False
        return True

    def report(self) -> None:
        """Send the engine the offset up to which the plugin has released the bytes."""
        offset = self._viewed[1] if self._viewed is not None else self._end
        self._unreported = 0
        if offset > self._reported:
            self._reported = offset
            self._channel.send_number(wire.RELEASE, offset)


class FileChunks:
    """Chunks of a file, for a plugin with ``reads = "random"`` that also iterates."""

    ended = False
    goes_on = False

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._offset = 0

    def take(self) -> Optional[memoryview]:
        """Return the next chunk, or None at the end."""
        data = os.pread(self._fd, FILE_CHUNK_BYTES, self._offset)
        self._offset += len(data)
        return memoryview(data) if data else None


class OnlyFiles:
    """No chunks, for a plugin with ``reads = "files"``, whose bytes are those of files."""

    ended = True
    goes_on = True

    def take(self) -> Optional[memoryview]:
        """Raise ValueError: an iteration that ends at once would look like an empty image."""
        raise ValueError("reads = 'files': the plugin gets the files of the image (image.files()), not its bytes")


class NoChunks:
    """No chunks, for a plugin with ``reads = "nothing"`` or ``"findings"``."""

    ended = True
    goes_on = True

    def take(self) -> Optional[memoryview]:
        """Return None: there is no chunk."""
        return None
