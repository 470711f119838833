"""Waiting for something that nobody announces."""

from __future__ import annotations

import time
from collections.abc import Callable

POLLS = 600
PAUSE = 0.1  # seconds


def until(what: str, happens: Callable[[], bool]) -> None:
    """Return when it is so. Raises AssertionError if that takes longer than a loaded machine needs."""
    for _ in range(POLLS):
        if happens():
            return
        time.sleep(PAUSE)
    raise AssertionError(f"it does not happen: {what}")
