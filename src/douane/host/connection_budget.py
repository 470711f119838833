"""How many connections a plugin may have: open at once, for one image, and in what time. Decides; does no I/O."""

from __future__ import annotations

OPEN_AT_ONCE = 32
FOR_AN_IMAGE = 10_000
A_SECOND = 50.0
"""A closed TCP connection keeps its port for a minute (TIME_WAIT), and a host has 28,000: this rate takes 3,000."""


class ConnectionBudget:
    """The bounds of one plugin, its grants together. After a burst of A_SECOND connections, others wait."""

    def __init__(self, now: float) -> None:
        self._left = FOR_AN_IMAGE
        self._tokens = A_SECOND
        self._filled = now

    def refusal(self, open_now: int) -> str | None:
        """Why no connection can be made, if `open_now` exist or are being made; None if one can."""
        if open_now >= OPEN_AT_ONCE:
            return f"{OPEN_AT_ONCE} connections of the plugin are open, and no more are allowed at once: close some"
        if self._left <= 0:
            return f"the plugin has had {FOR_AN_IMAGE} connections, and no more are allowed for one image"
        return None

    def take(self, now: float) -> float:
        """Count one connection; return the seconds that it must wait."""
        self._tokens = min(A_SECOND, self._tokens + (now - self._filled) * A_SECOND) - 1
        self._filled = now
        self._left -= 1
        return max(0.0, -self._tokens / A_SECOND)
