"""The clocks of a plugin: how long it has had work, and whether that is too long."""

from __future__ import annotations

import time
from typing import Literal


class Clock:
    """The two clocks that run while a plugin has work: stall and total. Charged by the loop's tick.

    Only time in which the plugin has something to do counts: a tenant's slow upload is not the plugin's fault.
    """

    def __init__(self, stall: float | None, total: float) -> None:
        self._stall = stall
        self._total = total
        self._still = 0.0
        self._charged = 0.0
        self._progress: object = None

    def tick(self, seconds: float, *, busy: bool, progress: object) -> Literal["stall", "timeout"] | None:
        """Charge `seconds`; the name of the clock that ran out, or None. A changed `progress` resets the stall."""
        if progress != self._progress or not busy:
            self._progress = progress
            self._still = 0.0
        if not busy:
            return None
        self._still += seconds
        self._charged += seconds
        if self._charged > self._total:
            return "timeout"
        if self._stall is not None and self._still > self._stall:
            return "stall"
        return None


class Stopwatch:
    """Seconds of work, for the report."""

    def __init__(self) -> None:
        self._started: float | None = None
        self.seconds = 0.0

    def start(self) -> None:
        """Start, unless it runs already."""
        if self._started is None:
            self._started = time.monotonic()

    def stop(self) -> None:
        """Stop, unless it stands already."""
        if self._started is not None:
            self.seconds += time.monotonic() - self._started
            self._started = None
