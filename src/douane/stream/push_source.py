"""A source that is written to, piece by piece, as a web server receives an image."""

from __future__ import annotations

import os
import select
import threading

from douane.errors import SourceError
from douane.units import MiB

from .ring import Ring, RingStopped
from .wakeups import Wakeups

EARLY_BYTES = 8 * MiB
"""Bytes that are accepted before the plugins have started, so that an upload need not stand still for the tenth of a
second or two until then. Less than the size of a ring, so that they go in without waiting."""


class RunEnded(Exception):
    """A signal to the sender, not an error: the run has its outcome and needs no more of the image."""


class PushSource:
    """A source that is filled by calls of :meth:`write`, from one thread that is not the run's.

    Each piece is copied once, into the ring, and :meth:`write` waits while the slowest plugin is as far behind as the
    ring is long: that holds the sender back, too. `size` is the announced size in bytes, or None.
    """

    def __init__(self, name: str, size: int | None = None) -> None:
        self.name = name
        self.size = size
        self._ring: Ring | None = None
        self._started = threading.Event()
        self._place = -1  # of the slot that is being filled
        self._filled = 0
        self._total = 0
        self._wakeups = Wakeups()
        self._early: list[bytes] = []
        self._early_bytes = 0
        self._error: SourceError | None = None
        self._ended = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._closed = False
        self._filling = threading.Lock()

    # for the sender

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add the next bytes of the image. Raises RunEnded if no more are needed."""
        view = memoryview(data).cast("B")
        if self._store_early(view):
            return
        self._started.wait()
        while view:
            ring = self._ring
            if ring is None:
                raise RunEnded
            if self._place < 0:
                try:
                    self._place, self._filled = ring.reserve(), 0
                except RingStopped:
                    raise RunEnded from None
            with self._filling:
                if self._ring is None:  # the ring is about to be closed
                    raise RunEnded
                count = self._fill(ring, view)
                self._total += count
                view = view[count:]

    def finish(self) -> None:
        """The image is complete. The run fails if another size was announced."""
        if self.size is not None and self._total != self.size:
            code, verb = ("truncated", "ended after") if self._total < self.size else ("longer-than-announced", "has")
            self._error = SourceError(f"{self.name} {verb} {self._total} of the announced {self.size} bytes", code=code)
        self._end()

    def abort(self, reason: str) -> None:
        """The sender gave up: the image is incomplete and cannot be accepted. Safe at any moment."""
        self._error = SourceError(f"{self.name} did not come to its end: {reason}")
        self._end()

    def _store_early(self, view: memoryview) -> bool:
        """Keep the bytes if the run has not started yet and there is room; True if they were kept."""
        with self._filling:
            if self._started.is_set() or self._ring is not None or self._early_bytes + len(view) > EARLY_BYTES:
                return False
            self._early.append(bytes(view))
            self._early_bytes += len(view)
            self._total += len(view)
            return True

    def _fill(self, ring: Ring, view: memoryview) -> int:
        """Copy as much of `view` as fits into the current slot; return the number of bytes."""
        part = view[: ring.slot_bytes - self._filled]
        start = self._place + self._filled
        ring.view[start : start + len(part)] = part
        self._filled += len(part)
        if self._filled == ring.slot_bytes:
            self._publish(ring)
        return len(part)

    def _publish(self, ring: Ring) -> None:
        ring.publish(self._place, self._filled, spread=self._wakeups.spread(ring))
        self._place = -1

    def _end(self) -> None:
        with self._filling:
            if not self._closed:
                os.eventfd_write(self._ended, 1)

    # for the run

    def pump(self, ring: Ring) -> None:
        """Wait until the sender has ended. Raises SourceError, and RingStopped."""
        with self._filling:
            for piece in self._early:
                view = memoryview(piece)
                while view:
                    if self._place < 0:
                        self._place, self._filled = ring.reserve(), 0
                    view = view[self._fill(ring, view) :]
            self._early = []
            self._ring = ring
        self._started.set()
        poll = select.poll()
        poll.register(self._ended, select.POLLIN)
        poll.register(ring.stop_fd, select.POLLIN)
        stopped = any(ready == ring.stop_fd for ready, _ in poll.poll())
        with self._filling:
            self._ring = None
        if stopped:
            raise RingStopped
        if self._error is not None:
            raise self._error
        if self._place >= 0:
            self._publish(ring)

    def file(self) -> int | None:
        """None: there is no file."""
        return None

    def close(self) -> None:
        """The run is over: from now on, :meth:`write` raises RunEnded. Idempotent."""
        with self._filling:
            self._ring = None
            if not self._closed:
                self._closed = True
                os.close(self._ended)
        self._started.set()
