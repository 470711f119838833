"""How long to wait before another attempt, and when to give up."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

from douane.errors import UploadError

AT_ONCE_SECONDS = 0.05
FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
LONGEST_REQUESTED_SECONDS = 600.0
"""The longest Retry-After that is honoured."""


class Patience:
    """The attempts since the last progress."""

    def __init__(self, seconds: float, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> None:
        """Give up after `seconds` without progress; `say` tells the person why it waits."""
        self._seconds = seconds
        self._say = say
        self._sleep = sleep
        self.reset()

    def reset(self) -> None:
        """There was progress: the next attempt may come at once."""
        self._attempts = 0
        self._since = time.monotonic()

    def wait(self, why: str, headers: Mapping[str, str] | None = None) -> None:
        """Wait before another attempt: longer each time, and at least as long as the service says. Raises UploadError
        ``service-away`` if it has lasted too long."""
        # After something went forward, the first attempt comes almost at once: a line that breaks now and then costs
        # no time. What is away is asked ever more seldom.
        longest = FIRST_SECONDS * 2.0 ** (self._attempts - 1) if self._attempts else AT_ONCE_SECONDS
        pause = min(LONGEST_SECONDS, longest) * random.uniform(0.75, 1.25)
        requested = (headers or {}).get("retry-after", "")
        if requested.isascii() and requested.isdigit():
            pause = max(pause, min(float(requested), LONGEST_REQUESTED_SECONDS))
        if time.monotonic() + pause - self._since > self._seconds:
            raise UploadError(f"nothing went forward for {self._seconds:.0f} seconds: {why}", code="service-away")
        self._attempts += 1
        self._say(f"{why}; another attempt in {pause:.1f} s")
        self._sleep(pause)
