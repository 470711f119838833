"""An image that somebody hands over piece by piece, as a web server does: the other way round than a file is read."""

from __future__ import annotations

import os
import select
import threading

from douane.errors import SourceError
from douane.units import MiB

from .ring import Ring, Stopped
from .wakeups import Pace

EARLY_BYTES = 8 * MiB
"""So much is taken before the plugins have started: an upload need not stand still for the tenth of a second or two
that they take. Less than a ring holds, so that it goes in without waiting."""


class PassEnded(Exception):
    """The pass has its outcome: there is no need for more of the image."""


class PushedSource:
    """A source that is filled by calls of :meth:`write`, from one thread that is not the pass's.

    Each piece is copied once, into the ring, and :meth:`write` waits while the slowest plugin is as far behind as the
    ring is long: so whoever sends the image is held back, too. `size` is what was announced, None if nothing was.
    """

    def __init__(self, name: str, size: int | None = None) -> None:
        self.name = name
        self.size = size
        self._ring: Ring | None = None
        self._begun = threading.Event()
        self._place = -1  # of the slot that is being filled
        self._filled = 0
        self._total = 0
        self._pace = Pace()
        self._early: list[bytes] = []
        self._early_bytes = 0
        self._error: SourceError | None = None
        self._ended = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._closed = False
        self._filling = threading.Lock()

    # for the sender

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand over the next bytes. Raises PassEnded if they are not wanted any more."""
        view = memoryview(data).cast("B")
        if self._keep_early(view):
            return
        self._begun.wait()
        while view:
            ring = self._ring
            if ring is None:
                raise PassEnded
            if self._place < 0:
                try:
                    self._place, self._filled = ring.reserve(), 0
                except Stopped:
                    raise PassEnded from None
            with self._filling:
                if self._ring is None:  # its memory is about to be given back
                    raise PassEnded
                taken = self._fill(ring, view)
                self._total += taken
                view = view[taken:]

    def finish(self) -> None:
        """That was all of it. The outcome can be an error: if another size was announced."""
        if self.size is not None and self._total != self.size:
            code, what = ("truncated", "ended after") if self._total < self.size else ("longer-than-announced", "has")
            self._error = SourceError(f"{self.name} {what} {self._total} of the announced {self.size} bytes", code=code)
        self._end()

    def abort(self, reason: str) -> None:
        """There will be no more, and what came is not all: the image cannot be accepted. Safe at any moment."""
        self._error = SourceError(f"{self.name} did not come to its end: {reason}")
        self._end()

    def _keep_early(self, view: memoryview) -> bool:
        """True if it was taken though nobody is there yet."""
        with self._filling:
            if self._begun.is_set() or self._ring is not None or self._early_bytes + len(view) > EARLY_BYTES:
                return False
            self._early.append(bytes(view))
            self._early_bytes += len(view)
            self._total += len(view)
            return True

    def _fill(self, ring: Ring, view: memoryview) -> int:
        """Copy what fits into the slot that is being filled; how much that was."""
        part = view[: ring.slot_bytes - self._filled]
        at = self._place + self._filled
        ring.view[at : at + len(part)] = part
        self._filled += len(part)
        if self._filled == ring.slot_bytes:
            self._publish(ring)
        return len(part)

    def _publish(self, ring: Ring) -> None:
        ring.publish(self._place, self._filled, spread=self._pace.spread(ring))
        self._place = -1

    def _end(self) -> None:
        with self._filling:
            if not self._closed:
                os.eventfd_write(self._ended, 1)

    # for the pass

    def pump(self, ring: Ring) -> None:
        """Wait until the sender has ended. Raises SourceError, and Stopped."""
        with self._filling:
            for piece in self._early:
                view = memoryview(piece)
                while view:
                    if self._place < 0:
                        self._place, self._filled = ring.reserve(), 0
                    view = view[self._fill(ring, view) :]
            self._early = []
            self._ring = ring
        self._begun.set()
        poll = select.poll()
        poll.register(self._ended, select.POLLIN)
        poll.register(ring.stop_fd, select.POLLIN)
        stopped = any(ready == ring.stop_fd for ready, _ in poll.poll())
        with self._filling:
            self._ring = None
        if stopped:
            raise Stopped
        if self._error is not None:
            raise self._error
        if self._place >= 0:
            self._publish(ring)

    def file(self) -> int | None:
        """There is none."""
        return None

    def close(self) -> None:
        """The pass is over; whoever writes is told so. Idempotent."""
        with self._filling:
            self._ring = None
            if not self._closed:
                self._closed = True
                os.close(self._ended)
        self._begun.set()
