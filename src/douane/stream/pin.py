"""Keeping the beginning of a ring for those who may still come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .ring import Chunk, Ring


class Hold:
    """A reader that reads nothing and lets nothing go, until :meth:`drop`."""

    essential = True

    def __init__(self, ring: Ring) -> None:
        self.released = 0
        self._ring = ring
        ring.attach(self)

    def push(self, chunks: Sequence[Chunk]) -> None:
        """Not for us."""

    def finish(self, size: int) -> None:
        """Not for us."""

    def overrun(self) -> None:
        """Never: it is essential."""

    def drop(self) -> None:
        """Let go of everything."""
        self._ring.detach(self)


class LateHold(Hold):
    """For an auditor that is not ready yet: the ring does not wait for it, and `overran` is called if it had to go
    on without."""

    essential = False

    def __init__(self, ring: Ring, overran: Callable[[], None]) -> None:
        self._overran = overran
        super().__init__(ring)

    def overrun(self) -> None:
        """It is too late."""
        self._overran()
