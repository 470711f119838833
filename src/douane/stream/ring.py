"""One write, many readers, no copy: the shared memory that an image passes through.

A ring is a `memfd` of equal slots. The engine maps it for writing, then seals it with
``F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL`` (memfd_create(2), fcntl(2)): from then on
no descriptor of it, in whatever process, can be written or mapped for writing. Plugins map it read-only and
receive (offset, place, length) over their channel. A slot is filled again when its slowest reader has released it.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import threading
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import msgspec

from douane.units import MiB

SLOT_BYTES = MiB
SLOTS = 16
AUDIT_SLOTS = 64
"""With an auditor in the plan the ring is longer: it may lag behind by what the other plugins do not need."""

FIRST_BYTES = 4 * MiB
"""Bytes that may be read before every reader that can refuse has released the first ones."""

_F_SEAL_FUTURE_WRITE = 0x0010  # linux/fcntl.h, since Linux 5.1; not in the fcntl module before Python 3.14
_MFD_NOEXEC_SEAL = 0x0008  # linux/memfd.h, since Linux 6.3


def _memory_without_code(name: str) -> int:
    """A memfd that may be sealed and cannot be executed: a plugin with `programs` holds a descriptor of it."""
    try:
        return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | _MFD_NOEXEC_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.fchmod(fd, 0o600)  # an older kernel's has the mode 0777; only its owner could change that back
    return fd


class RingStopped(Exception):
    """A signal to the thread that fills a ring, not an error: the run has ended."""


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """A piece of the image: [start, end), and its place in the ring in bytes, or None for a hole (zeros)."""

    start: int
    end: int
    place: int | None


class Reader(Protocol):
    """A reader of a ring: a plugin, a digest, the store's writer. All methods are called under the ring's lock."""

    released: int
    """The offset in the image up to which it has released the ring."""

    essential: bool
    """True if the ring waits for it."""

    def push(self, chunks: Sequence[Chunk]) -> None:
        """Receive chunks that were published, in order; must not block."""

    def finish(self, size: int) -> None:
        """The image is complete, with `size` bytes."""

    def overrun(self) -> None:
        """The ring went on without this reader, which is not essential."""


class Ring:
    """See the module. One thread writes (`reserve`, `publish`, `hole`, `finish`); any thread may release."""

    def __init__(self, slots: int = SLOTS, slot_bytes: int = SLOT_BYTES) -> None:
        self.slot_bytes = slot_bytes
        self.slots = slots
        fd = _memory_without_code("douane-ring")
        try:
            os.ftruncate(fd, slots * slot_bytes)
            self._map = mmap.mmap(fd, slots * slot_bytes, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            fcntl.fcntl(
                fd,
                fcntl.F_ADD_SEALS,
                fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | _F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL,
            )
            self.stop_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)  # readable from the stop on
            try:
                self.fd = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
            except BaseException:
                os.close(self.stop_fd)
                raise
        finally:
            os.close(fd)
        self.view = memoryview(self._map)
        self.changed = threading.Condition()
        self.size = 0
        self.ended = False
        self._notified: dict[Reader, int] = {}  # the readers, and the offset up to which each has received chunks
        self._chunks: deque[Chunk] = deque()
        self._published = 0
        # The slot that came free last is filled next: it is in the caches still. The first of all is at the beginning.
        self._free = list(reversed(range(slots)))
        self._waiting = False
        self._stopped = False

    # readers

    def attach(self, reader: Reader) -> None:
        """Let `reader` read from the beginning. Raises ValueError if the first bytes are no longer in the ring."""
        with self.changed:
            if self._chunks and self._chunks[0].start > 0:
                raise ValueError("the beginning of the image has left the ring")
            reader.released = 0
            self._notified[reader] = 0
            self._notify(reader)
            if self.ended:
                reader.finish(self.size)

    def detach(self, reader: Reader) -> None:
        """Remove `reader`, and release what it held. Idempotent."""
        with self.changed:
            if reader in self._notified:
                del self._notified[reader]
                self._reclaim()

    def release(self, reader: Reader, offset: int) -> None:
        """`reader` no longer needs the bytes before `offset`."""
        with self.changed:
            if offset > reader.released:
                reader.released = offset
                self._reclaim()
                if self._waiting and reader.essential:
                    self.changed.notify_all()  # nothing may have come free, but an auditor can be left behind now

    def _reclaim(self) -> None:
        floor = min((reader.released for reader in self._notified), default=self.size)
        chunks = self._chunks
        freed = False
        while chunks and chunks[0].end <= floor:
            place = chunks.popleft().place
            if place is not None:
                self._free.append(place // self.slot_bytes)
            freed = True
        if freed and self._waiting:
            self.changed.notify_all()

    @property
    def is_full(self) -> bool:
        """True while the writing thread waits for a reader to release a slot."""
        return self._waiting

    @property
    def stopped(self) -> bool:
        """True once the run has ended."""
        return self._stopped

    def waits_for(self, reader: Reader) -> bool:
        """True while the writing thread waits for a slot, and `reader` is among the readers that hold the oldest."""
        with self.changed:
            floor = min((essential.released for essential in self._notified if essential.essential), default=self.size)
            return self._waiting and reader in self._notified and reader.released <= floor

    # the thread that writes

    def reserve(self) -> int:
        """Wait for a free slot and return its place in the ring, in bytes. Raises RingStopped."""
        with self.changed:
            while True:
                if self._stopped:
                    raise RingStopped
                if self._has_room():
                    return self._free.pop() * self.slot_bytes
                for reader in list(self._notified):
                    self._notify(reader)
                self._waiting = True
                self.changed.wait()
                self._waiting = False

    def _has_room(self) -> bool:
        essential = [reader.released for reader in self._notified if reader.essential]
        floor = min(essential, default=self.size)
        ahead = self.size + self.slot_bytes - floor
        if essential and ahead > (FIRST_BYTES if floor == 0 else SLOTS * self.slot_bytes):
            return False
        if not self._free:
            # No essential reader holds this much: an auditor lags behind, and the ring goes on without it.
            laggards = [reader for reader in self._notified if not reader.essential and reader.released < floor]
            for reader in laggards:
                del self._notified[reader]
                reader.overrun()
            self._reclaim()
        return bool(self._free)

    def publish(self, place: int, length: int, *, spread: int = 1) -> None:
        """The slot at `place` now holds the next `length` bytes of the image. A length of 0 gives the slot back.

        Each reader receives the chunk with one of the next `spread` slots at the latest, and not all with the same
        slot; or before the writing thread waits or ends. A wake-up costs a reader as much as its work on a slot if the
        image comes as slowly as from a network, and readers that wake together are in the writing thread's way.
        """
        with self.changed:
            if length:
                self._push(Chunk(self.size, self.size + length, place), spread)
            else:
                self._free.append(place // self.slot_bytes)

    def hole(self, length: int) -> None:
        """The next `length` bytes of the image are zero, and take no slot. Raises RingStopped."""
        with self.changed:
            if self._stopped:
                raise RingStopped
            self._push(Chunk(self.size, self.size + length, None), 1)

    def _push(self, chunk: Chunk, spread: int) -> None:
        self.size = chunk.end
        self._chunks.append(chunk)
        self._published += 1
        for number, reader in enumerate(list(self._notified)):
            if (number + self._published) % spread == 0:
                self._notify(reader)
        if not self._notified:
            self._reclaim()

    def _notify(self, reader: Reader) -> None:
        offset = self._notified.get(reader, self.size)
        if offset < self.size:
            self._notified[reader] = self.size
            reader.push([chunk for chunk in self._chunks if chunk.start >= offset])

    def finish(self) -> None:
        """The image is complete: pass on what was published, and its size."""
        with self.changed:
            self.ended = True
            for reader in list(self._notified):
                self._notify(reader)
                reader.finish(self.size)
            self.changed.notify_all()

    def stop(self) -> None:
        """End the run: the writing thread's next wait raises RingStopped. Idempotent."""
        with self.changed:
            self._stopped = True
            os.eventfd_write(self.stop_fd, 1)
            self.changed.notify_all()

    def close(self) -> None:
        """Give the memory back, when all readers in this process have ended."""
        self.view.release()
        self._map.close()
        os.close(self.fd)
        os.close(self.stop_fd)
