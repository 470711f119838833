"""The threads that fill rings: from the source, and from the output of a transform."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from douane.errors import DouaneError, LimitExceeded, SourceError
from douane.units import MiB, show_size

from .ring import Ring, RingStopped
from .source import Source, fill_slot
from .zeros import data_runs

RATIO_FLOOR_BYTES = 64 * MiB
"""The ratio is checked from this much output on: a small file may well grow a hundredfold."""


class Feed:
    """Fills `ring` in a thread, and calls `ended(error)` from that thread at the end. Does not finish the ring."""

    def __init__(self, ring: Ring, name: str, ended: Callable[[DouaneError | None], None]) -> None:
        self._ring = ring
        self._ended = ended
        self._thread = threading.Thread(target=self._run, name=f"douane-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the thread; stop the ring first."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        error: DouaneError | None = None
        try:
            self._fill()
        except RingStopped:
            return
        except DouaneError as expected:
            error = expected
        except Exception as fault:  # a fault of ours: the image is not let in, and the loop must hear of it
            error = DouaneError(f"the engine failed in {self._thread.name}: {fault!r}")
        self._ended(error)

    def _fill(self) -> None:
        raise NotImplementedError


class SourceFeed(Feed):
    """Fills a ring from a source, and closes the source at the end if `closes` is true."""

    def __init__(
        self, ring: Ring, source: Source, ended: Callable[[DouaneError | None], None], *, closes: bool = False
    ) -> None:
        super().__init__(ring, "source", ended)
        self._source = source
        self._closes = closes

    def _fill(self) -> None:
        try:
            self._source.pump(self._ring)
        except OSError as error:
            raise SourceError(f"{self._source.name} cannot be read: {error.strerror}") from error
        finally:
            if self._closes:
                self._source.close()


class OutputFeed(Feed):
    """Copy a transform's output from its pipe into a ring: no plugin may read memory that another can write.

    The output ends with the pipe, or when :meth:`writer_ended` was called and the pipe is empty.
    """

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
        self._data_bytes = 0  # output without the blocks that are zero
        self._fd = fd
        self._name = name
        self._arrived = arrived
        self._max_output = max_output
        self._max_ratio = max_ratio
        self._end_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def writer_ended(self) -> None:
        """The transform has answered and its process is gone. Whoever still holds its pipe adds nothing."""
        os.eventfd_write(self._end_fd, 1)

    def close(self) -> None:
        """Close what it has opened, after `join`."""
        os.close(self._end_fd)

    def _fill(self) -> None:
        ring = self._ring
        while True:
            place = ring.reserve()
            filled = fill_slot(self._fd, ring, place, f"the output of {self._name!r}", self._add, self._end_fd)
            with ring.view[place : place + filled] as view:
                runs = data_runs(view) if filled else []
            self._data_bytes += sum(end - start for start, end in runs)
            self._check()
            ring.publish(place, filled if runs else 0)
            if not runs and filled:
                ring.hole(filled)  # no reader has to look for its zeros again
            if filled < ring.slot_bytes:
                return

    def _add(self, length: int) -> None:
        self.total += length  # before the slot is full: a slow transform is not a stalled transform

    def _check(self) -> None:
        if self.total > self._max_output:
            raise LimitExceeded(
                f"the check {self._name!r} produced more than {show_size(self._max_output)} (limit: 'max_output')"
            )
        # Zeros take no room, and an honest disk may be nearly empty: only 'max_output' limits zeros.
        arrived = self._arrived()
        if self._data_bytes > RATIO_FLOOR_BYTES and self._data_bytes > self._max_ratio * max(arrived, 1):
            raise LimitExceeded(
                f"the check {self._name!r} produced {show_size(self._data_bytes)} of non-zero data from "
                f"{show_size(arrived)} of input, more than {self._max_ratio:g} times as much (limit: 'max_ratio')"
            )
