"""Waiting for something that nobody announces."""

from __future__ import annotations

import time
from collections.abc import Callable

MOST_SECONDS = 60.0
PAUSE = 0.1  # seconds


def until(what: str, happens: Callable[[], bool], *, pause: float = PAUSE) -> None:
    """Return when it is so. Raises AssertionError if that takes longer than a loaded machine needs.

    `pause` in seconds: how soon it has to be noticed.
    """
    for _ in range(round(MOST_SECONDS / pause)):
        if happens():
            return
        time.sleep(pause)
    raise AssertionError(f"it does not happen: {what}")
