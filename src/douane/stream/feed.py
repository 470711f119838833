"""The threads that fill rings: from the source, and from what a transform puts out."""

from __future__ import annotations

import threading
from collections.abc import Callable

from douane.errors import DouaneError, LimitExceeded, SourceError
from douane.units import MiB, show_size

from . import zeros
from .ring import Ring, Stopped
from .source import Source, fill_slot

RATIO_FLOOR_BYTES = 64 * MiB
"""Below this much output a ratio says nothing: a small file may well grow a hundredfold."""


class Feed:
    """Fills `ring` in a thread; `ended(error)` is called at the end, from that thread. Does not finish the ring."""

    def __init__(self, ring: Ring, name: str, ended: Callable[[DouaneError | None], None]) -> None:
        self._ring = ring
        self._ended = ended
        self._thread = threading.Thread(target=self._run, name=f"douane-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the thread; stop the ring first."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        error: DouaneError | None = None
        try:
            self._fill()
        except Stopped:
            return
        except DouaneError as found:
            error = found
        except Exception as found:  # a fault of ours: the image is not let in, and the loop must hear of it
            error = DouaneError(f"the engine failed in {self._thread.name}: {found!r}")
        self._ended(error)

    def _fill(self) -> None:
        raise NotImplementedError


class SourceFeed(Feed):
    """From the image's source, which is closed at the end if it is `own`."""

    def __init__(
        self, ring: Ring, source: Source, ended: Callable[[DouaneError | None], None], *, own: bool = False
    ) -> None:
        super().__init__(ring, "source", ended)
        self._source = source
        self._own = own

    def _fill(self) -> None:
        try:
            self._source.pump(self._ring)
        except OSError as error:
            raise SourceError(f"{self._source.name} cannot be read: {error.strerror}") from error
        finally:
            if self._own:
                self._source.close()


class OutputFeed(Feed):
    """From the pipe that a transform writes. Here it is copied: nobody may read what a plugin can still write."""

    def __init__(
        self,
        ring: Ring,
        fd: int,
        name: str,
        arrived: Callable[[], int],
        *,
        max_output: int,
        max_ratio: float,
        ended: Callable[[DouaneError | None], None],
    ) -> None:
        super().__init__(ring, "output", ended)
        self.total = 0
        self._room = 0  # bytes of it that are not zero, to the block
        self._fd = fd
        self._name = name
        self._arrived = arrived
        self._max_output = max_output
        self._max_ratio = max_ratio

    def _fill(self) -> None:
        ring = self._ring
        while True:
            place = ring.reserve()
            done = fill_slot(self._fd, ring, place, f"the output of {self._name!r}", self._came)
            with ring.view[place : place + done] as view:
                found = zeros.runs(view) if done else []
            self._room += sum(end - start for start, end in found)
            self._check()
            ring.publish(place, done if found else 0)
            if not found and done:
                ring.hole(done)  # nobody need look for its zeros again
            if done < ring.slot_bytes:
                return

    def _came(self, length: int) -> None:
        self.total += length  # also of a slot that is not full yet: a slow transform is not a stalled one

    def _check(self) -> None:
        if self.total > self._max_output:
            raise LimitExceeded(
                f"the check {self._name!r} made more than {show_size(self._max_output)} of the image; "
                "the operator's bound is 'max_output'"
            )
        # Zeros take no room, and an honest disk may be nearly empty: what they are bounded by is 'max_output'.
        arrived = self._arrived()
        if self._room > RATIO_FLOOR_BYTES and self._room > self._max_ratio * max(arrived, 1):
            raise LimitExceeded(
                f"the check {self._name!r} made {show_size(self._room)} that are not zero of {show_size(arrived)} of "
                f"the image, more than {self._max_ratio:g} times as much; the operator's bound is 'max_ratio'"
            )
