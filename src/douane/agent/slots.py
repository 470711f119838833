"""Which images are inspected now, which wait, and which give way. No I/O: threads ask, and are told by an event.

A slot is for an image whose bytes flow. An image whose sender is slower than the minimum rate gives its slot up and is
read without a slot, at the minimum rate at most; so it costs others nothing but its place. Where places run out, the
image that has come slowest gives way.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum

_HEAD_START_SECONDS = 1.0
"""For so long every image counts as fast enough, so that a newcomer does not look like the slowest of all."""


class Place(Enum):
    """Where an image is on its way through the agent."""

    QUEUED = "queued"
    """It waits for its first slot."""
    SLOT = "slot"
    GATHERING = "gathering"
    """It has had its turn; too few of its bytes have come to start plugins for them."""
    SLOW = "slow"
    """It is inspected without a slot."""
    LEFT = "left"
    """It has gone, or has to go: the agent has no place for it."""


class Arrival:
    """One image on its way in. `min_rate` is in bytes a second."""

    def __init__(self, min_rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.place = Place.QUEUED
        self.changed = threading.Event()
        """Set when others have changed its place."""
        self.bytes_arrived = 0
        self._min_rate = min_rate
        self._clock = clock
        self._started = clock()

    def start(self) -> None:
        """Its sender may send from now on."""
        self._started = self._clock()

    @property
    def rate(self) -> float:
        """Bytes a second since its start."""
        seconds = self._clock() - self._started
        return (self.bytes_arrived + self._min_rate * _HEAD_START_SECONDS) / (seconds + _HEAD_START_SECONDS)

    @property
    def is_slow(self) -> bool:
        """True if it has come slower than the minimum rate."""
        return self.rate < self._min_rate

    def move(self, place: Place) -> None:
        """Its new place, decided by another thread than its own."""
        self.place = place
        self.changed.set()


class Slots:
    """`count` slots, and places for `slow_count` images that are inspected without a slot."""

    def __init__(self, count: int, slow_count: int) -> None:
        self._count = count
        self._slow_count = slow_count
        self._lock = threading.Lock()
        self._arrivals: set[Arrival] = set()
        self._queue: deque[Arrival] = deque()

    def enqueue(self, arrival: Arrival) -> None:
        """Give it a slot as soon as those before it have had theirs: its place is SLOT then, and `changed` is set.

        An image that has a place already keeps it meanwhile.
        """
        with self._lock:
            if arrival.place in (Place.QUEUED, Place.GATHERING, Place.SLOW) and arrival not in self._queue:
                self._arrivals.add(arrival)
                self._queue.append(arrival)
                self._grant()

    def gather(self, arrival: Arrival) -> None:
        """Its sender has sent too little: it gives its slot up, and waits for its bytes."""
        self._give_up_slot(arrival, Place.GATHERING)

    def slow_down(self, arrival: Arrival) -> None:
        """It is inspected without a slot. If there are too many such images, the slowest gives way."""
        self._give_up_slot(arrival, Place.SLOW)

    def leave(self, arrival: Arrival) -> None:
        """It is over. Idempotent."""
        with self._lock:
            self._remove(arrival)
            self._grant()

    def make_room(self) -> bool:
        """Let the slowest image without a slot give way, unless all come fast enough; True if there was one."""
        with self._lock:
            return self._evict((Place.GATHERING, Place.SLOW))

    def _give_up_slot(self, arrival: Arrival, place: Place) -> None:
        with self._lock:
            if arrival.place is Place.LEFT:
                return
            arrival.place = place
            if arrival in self._queue:
                self._queue.remove(arrival)
            if sum(other.place is Place.SLOW for other in self._arrivals) > self._slow_count and not self._evict(
                (Place.SLOW,)
            ):
                self._remove(arrival)  # all others come fast enough, so it is this image that has no place
                arrival.changed.set()
            self._grant()

    def _evict(self, places: tuple[Place, ...]) -> bool:
        candidates = [arrival for arrival in self._arrivals if arrival.place in places and arrival.is_slow]
        if not candidates:
            return False
        slowest = min(candidates, key=lambda arrival: arrival.rate)
        self._remove(slowest)
        slowest.changed.set()
        return True

    def _remove(self, arrival: Arrival) -> None:
        arrival.place = Place.LEFT
        self._arrivals.discard(arrival)
        if arrival in self._queue:
            self._queue.remove(arrival)

    def _grant(self) -> None:
        free = self._count - sum(arrival.place is Place.SLOT for arrival in self._arrivals)
        while free > 0 and self._queue:
            self._queue.popleft().move(Place.SLOT)
            free -= 1


class Pace:
    """How long an image with a slot may send nothing, and how much of one without a slot is read. `rate`: bytes/s."""

    FIRST_SECONDS = 0.25
    """Silence at the beginning: a sender whose bytes are there sends them within milliseconds."""
    _MAX_SECONDS = 2.0
    _MAX_BYTES = 1 << 19

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self.credit = self.FIRST_SECONDS
        """Seconds."""
        self._allowance = 0.0

    def reset(self) -> None:
        """As at the beginning: the next time with a slot begins anew."""
        self.credit = self.FIRST_SECONDS

    def arrive(self, count: int) -> None:
        """`count` bytes of an image with a slot have come."""
        self.credit = min(self._MAX_SECONDS, self.credit + count / self._rate)

    def idle(self, seconds: float) -> None:
        """An image with a slot has sent nothing for so long."""
        self.credit -= seconds

    def refill(self, seconds: float) -> int:
        """Bytes that may be read of an image without a slot, after so many seconds more."""
        self._allowance = min(self._MAX_BYTES, self._allowance + seconds * self._rate)
        return int(self._allowance)

    def spend(self, count: int) -> None:
        """So many of these bytes were read."""
        self._allowance -= count
