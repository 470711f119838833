"""How fast an upload comes: one that has become slow gives its worker up, if others wait for a worker."""

from __future__ import annotations

import time
from collections.abc import Callable

from douane.errors import SourceError
from douane.units import KiB

WINDOW_SECONDS = 10.0
MIN_RATE = 256 * KiB
"""Bytes a second; as for the agent."""

_MOSTLY = 0.9


class SenderPace:
    """Watches one upload. A sender waits for slow plugins, too: only a time in which no byte of it waited counts."""

    def __init__(self, others_wait: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        """`others_wait` is called when the upload is slow; it may ask the catalog."""
        self._others_wait = others_wait
        self._clock = clock
        self._begin(0)

    def _begin(self, received: int) -> None:
        self._since, self._received = self._clock(), received
        self._looks = self._idle_looks = 0

    def observe(self, received: int, *, is_idle: bool) -> None:
        """`received` bytes have come; `is_idle`: no further byte is there. Called about ten times a second.

        Raises SourceError (``too-slow``): the sender uploads again, and the bytes go to a file until they are whole.
        """
        self._looks += 1
        self._idle_looks += is_idle
        if self._clock() - self._since < WINDOW_SECONDS:
            return
        rate = (received - self._received) / (self._clock() - self._since)
        is_slow = rate < MIN_RATE and self._idle_looks >= _MOSTLY * self._looks
        self._begin(received)
        if is_slow and self._others_wait():
            raise SourceError(
                "the image came too slowly while others waited; upload it again, or with a faster connection",
                code="too-slow",
            )
