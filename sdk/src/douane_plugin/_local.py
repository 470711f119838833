"""The runtime without an engine: real slots that are used again, and a channel that makes and collects the frames.

`douane_plugin.testing` and the conformance suite run plugins by it. A plugin process does not import it.
"""

from __future__ import annotations

import mmap
import os

from . import wire
from ._chunks import FileChunks
from ._json import dumps_text, loads
from ._runtime import READS_FILE, Runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Optional, Union

    from ._image import Image

SLOT_BYTES = 1 << 20
"""Longest chunk, as in production."""

SLOTS = 4
"""A plugin holds at most two: the current chunk, and the chunk before if a view of it lives."""

RING_BYTES = SLOTS * SLOT_BYTES

STALE = b"\xdb"
"""The byte that fills a slot after its release, so that no stale view looks valid."""


class Slots:
    """Shared memory in equal slots, as :class:`douane_plugin._chunks.Chunks` maps it.

    `fd` is a writable file of :data:`RING_BYTES` bytes that the caller closes.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory = mmap.mmap(fd, RING_BYTES)  # a write(2) would count against the limit for files
        self._free = list(range(SLOTS))
        self._used: list[tuple[int, int, int]] = []  # (image offset of its end, slot, bytes in it)

    def put(self, data: Union[bytes, memoryview], end: int) -> int:
        """Write `data`, which ends at the image offset `end`, into a free slot, and return its offset in the ring."""
        slot = self._free.pop(0)
        self._used.append((end, slot, len(data)))
        self._memory[slot * SLOT_BYTES : slot * SLOT_BYTES + len(data)] = data
        return slot * SLOT_BYTES

    def release(self, offset: int) -> None:
        """Free the slots of the bytes up to the image offset `offset`."""
        while self._used and self._used[0][0] <= offset:
            _, slot, length = self._used.pop(0)
            self._memory[slot * SLOT_BYTES : slot * SLOT_BYTES + length] = STALE * length
            self._free.append(slot)

    def close(self) -> None:
        """Unmap the memory."""
        self._memory.close()


class LocalChannel:
    """A :class:`douane_plugin._channel.Channel` that makes the frames of one image, and collects those of the plugin.

    `pieces` yields bytes, or the lengths of holes. `limit` is the N of ``head:N``, or None. `answer` is the last frame
    of the plugin; `frames` has the frames with JSON before it.
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
        return kind, b"".join([number.to_bytes(8, "little") for number in numbers])

    def send(self, kind: int, payload: bytes = b"") -> None:
        """Take a frame without JSON."""
        if kind == wire.UNCHANGED:
            self.unchanged = True

    def send_json(self, kind: int, value: dict[str, Any]) -> None:
        """Take a frame with JSON, as the engine would decode it. Raises TypeError if JSON has no such value."""
        value = loads(dumps_text(value))
        if kind in (wire.ACCEPT, wire.REFUSE, wire.DEFER, wire.INCOMPLETE):
            self.answer = (kind, value)
        else:
            self.frames.append((kind, value))

    def send_number(self, kind: int, number: int) -> None:
        """Take a RELEASE or PROGRESS frame."""
        if kind == wire.RELEASE:
            self._slots.release(number)


class CutFileChunks(FileChunks):
    """Chunks of a file whose lengths `choose` returns, given the offset and the number of bytes after it."""

    def __init__(self, fd: int, choose: Callable[[int, Optional[int]], int]) -> None:
        super().__init__(fd)
        self._choose = choose
        self._size = os.fstat(fd).st_size

    def take(self) -> Optional[memoryview]:
        """Return the next chunk, or None at the end."""
        if self._offset >= self._size:
            return None
        data = os.pread(self._fd, self._choose(self._offset, self._size - self._offset), self._offset)
        self._offset += len(data)
        return memoryview(data)


class LocalRuntime(Runtime):
    """A runtime for one image in this process.

    `pieces` is the image as for :class:`LocalChannel`; `choose` cuts the file of a plugin that reads at random.
    """

    def __init__(
        self,
        slots: Slots,
        pieces: Iterator[Any],
        reads: str,
        choose: Optional[Callable[[int, Optional[int]], int]] = None,
    ) -> None:
        self.channel = LocalChannel(slots, pieces, int(reads[5:]) if reads.startswith("head:") else None)
        channel: Any = self.channel
        super().__init__(channel)
        self._choose = choose

    def _source(self, facts: dict[str, Any], reads: str) -> Any:
        if reads in READS_FILE and self._choose is not None:
            return CutFileChunks(self.spec["image_fd"], self._choose)
        return super()._source(facts, reads)

    def check_unread(self, image: Image) -> None:
        """See :class:`Runtime`; there is no engine that would ask for the unread parts of files."""
        super().check_unread(image)
        if image._files is not None:
            image._files.check_unread()

    def close_grants(self) -> None:
        """Close the files and sockets of all grants."""
        self._open_handed().close_grants()
