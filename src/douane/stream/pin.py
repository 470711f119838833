"""Keep the beginning of a ring for readers that come later."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .ring import Chunk, Ring


class Pin:
    """A reader that reads nothing and releases nothing, until :meth:`drop`."""

    essential = True

    def __init__(self, ring: Ring) -> None:
        self.released = 0
        self._ring = ring
        ring.attach(self)

    def push(self, chunks: Sequence[Chunk]) -> None:
        """Ignore the chunks."""

    def finish(self, size: int) -> None:
        """Ignore the size."""

    def overrun(self) -> None:
        """Never called: a pin is essential."""

    def drop(self) -> None:
        """Release everything. Idempotent."""
        self._ring.detach(self)


class LateReaderPin(Pin):
    """A pin for an auditor that is not ready yet: the ring does not wait for it.

    `overran` is called if the ring had to go on without it.
    """

    essential = False

    def __init__(self, ring: Ring, overran: Callable[[], None]) -> None:
        self._overran = overran
        super().__init__(ring)

    def overrun(self) -> None:
        """See :class:`Reader`."""
        self._overran()
