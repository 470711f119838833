"""The clocks of a plugin: how long it had work, and whether that was too long."""

from __future__ import annotations

import time


class Clock:
    """The two clocks that run while a plugin has work: stall and total. Fed by the loop's tick.

    Only time in which the plugin had something to do counts: a tenant's slow upload is not its fault.
    """

    def __init__(self, stall: float | None, total: float) -> None:
        self._stall = stall
        self._total = total
        self._still = 0.0
        self._charged = 0.0
        self._progress: object = None

    def tick(self, seconds: float, *, busy: bool, progress: object) -> str | None:
        """Charge `seconds`; the name of the clock that ran out ("stall", "timeout"), or None."""
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
        self._since: float | None = None
        self.seconds = 0.0

    def start(self) -> None:
        if self._since is None:
            self._since = time.monotonic()

    def stop(self) -> None:
        if self._since is not None:
            self.seconds += time.monotonic() - self._since
            self._since = None
