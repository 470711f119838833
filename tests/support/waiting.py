"""Waiting for an event by polling."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from .processes import SECONDS

PAUSE = 0.05
Result = TypeVar("Result")


def until(event: str, happens: Callable[[], Result], *, pause: float = PAUSE) -> Result:
    """Return what `happens` returns once that is true. Raises AssertionError after a time that suffices on any machine.

    `pause`: seconds between two calls.
    """
    for _ in range(round(SECONDS / pause)):
        if result := happens():
            return result
        time.sleep(pause)
    raise AssertionError(f"it does not happen: {event}")
