"""An image that a client sends through a pipe, at the pace that :mod:`.slots` allows."""

from __future__ import annotations

import fcntl
import select
import time

from douane.engine import StreamSource
from douane.errors import AgentError, SourceError
from douane.stream.connection import Connection, Hangup
from douane.stream.ring import Ring, RingStopped
from douane.stream.source import pending_bytes, read_stream

from .protocol import End
from .slots import Arrival, Pace, Place, Slots

END_SECONDS = 30.0
"""How long the line ``end`` may take after the pipe was closed."""
_STEP_SECONDS = 0.25
"""How often an image without a slot is looked at; its pipe takes up what comes meanwhile."""
START_BYTES = 1 << 16
"""So much in the first moment counts as a flow; also the piece in which Glance's server reads an image."""


def half_capacity(fd: int) -> int:
    """Half of the bytes that a pipe can hold: a slow sender fills them without waiting for a reader."""
    return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) // 2


class PipeSource(StreamSource):
    """A pipe that the client fills. Its end counts only if the client then says that the image is complete."""

    def __init__(
        self, fd: int, name: str, size: int | None, connection: Connection, slots: Slots, arrival: Arrival, pace: Pace
    ) -> None:
        super().__init__(fd, name, size)
        self._connection = connection
        self._slots = slots
        self._arrival = arrival
        self._pace = pace
        self._half = half_capacity(fd)

    def pump(self, ring: Ring) -> None:
        """See :class:`Source`."""
        super().pump(ring)
        poll = select.poll()
        poll.register(self._connection.socket, select.POLLIN)
        poll.register(ring.stop_fd, select.POLLIN)
        try:
            if not poll.poll(self._pace.FIRST_SECONDS * 1000):
                self._slots.slow_down(self._arrival)
            ready = {fd for fd, _ in poll.poll(END_SECONDS * 1000)}
            if self._connection.socket.fileno() in ready:
                self._connection.receive(End)
                return
        except (Hangup, AgentError):
            pass
        raise SourceError(f"{self.name} is incomplete: its sender gave up")

    def fill_slot(self, ring: Ring, place: int) -> int:
        """See :class:`StreamSource`."""
        filled = 0
        since = time.monotonic()
        while filled < ring.slot_bytes:
            if self._arrival.place is Place.LEFT:
                raise SourceError(f"{self.name} comes too slowly while others wait", code="too-slow")
            room = ring.slot_bytes - filled
            if self._arrival.place is Place.SLOT:
                count = self._wait_with_slot(ring, room)
                since = time.monotonic()
            else:
                count, since = self._wait_without_slot(ring, room, since)
            if not count:
                continue
            length = read_stream(self._fd, ring.view[place + filled : place + filled + count])
            if length is None:
                continue
            if not length:
                break
            filled += length
            self._arrival.bytes_arrived += length
            if self._arrival.place is Place.SLOT:
                self._pace.arrive(length)
            else:
                self._pace.spend(length)
        return filled

    def _wait_with_slot(self, ring: Ring, room: int) -> int:
        """Bytes that may be read now; 0 if the sender was too slow, and the slot is given up."""
        start = time.monotonic()
        ready = _wait(self._fd, ring, max(0.0, self._pace.credit))
        self._pace.idle(time.monotonic() - start)
        if ready:
            return room
        self._slots.slow_down(self._arrival)
        self._pace.reset()
        return 0

    def _wait_without_slot(self, ring: Ring, room: int, since: float) -> tuple[int, float]:
        """Bytes that may be read now, and the time up to which they are allowed."""
        if not _wait(self._fd, ring, _STEP_SECONDS):
            return 0, since
        if pending_bytes(self._fd) >= self._half:
            self._slots.enqueue(self._arrival)
        now = time.monotonic()
        allowed = self._pace.refill(now - since)
        if not allowed:
            _wait(None, ring, _STEP_SECONDS / 10)
        return min(room, allowed), now


def _wait(fd: int | None, ring: Ring, seconds: float) -> bool:
    """Wait for bytes, or the end, of the pipe `fd`; False if neither came in time. Raises RingStopped."""
    poll = select.poll()
    poll.register(ring.stop_fd, select.POLLIN)
    if fd is not None:
        poll.register(fd, select.POLLIN)
    ready = {number for number, _ in poll.poll(seconds * 1000)}
    if ring.stop_fd in ready:
        raise RingStopped
    return fd in ready
