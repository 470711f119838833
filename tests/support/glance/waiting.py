"""Waiting for an event by polling."""

from __future__ import annotations

import time
from collections.abc import Callable

MAX_SECONDS = 60.0
PAUSE = 0.1  # seconds


def until(event: str, happens: Callable[[], bool], *, pause: float = PAUSE) -> None:
    """Return when `happens` is true. Raises AssertionError after a time that suffices on a busy machine.

    `pause`: seconds between two checks.
    """
    for _ in range(round(MAX_SECONDS / pause)):
        if happens():
            return
        time.sleep(pause)
    raise AssertionError(f"it does not happen: {event}")
