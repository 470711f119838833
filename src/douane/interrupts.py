"""Signals that end the program, deferred to a place where nothing is half done.

Python runs a signal's handler between any two bytecodes of the main thread. An exception that the handler raises can
fall between a lock that has been taken and the block that releases it (bpo-29988), into a transaction, or into a
finalizer, which swallows it. While a run is in the main thread, the exception is therefore kept, and raised where the
run waits.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


class Interrupts:
    """The interrupts of the main thread. In other threads the methods do nothing: Python handles no signals there."""

    def __init__(self) -> None:
        self._depth = 0
        self._pending: BaseException | None = None
        self._wake: Callable[[], None] = _ignore

    def interrupt(self, error: BaseException) -> None:
        """Raise `error` now, or at the next checkpoint if it is deferred. For a signal's handler.

        A second interrupt is never deferred.
        """
        if not self._depth or self._pending is not None:
            raise error
        self._pending = error
        self._wake()

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer interrupts to a checkpoint, or to the end of the block."""
        if not _is_main():
            yield
            return
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._raise()

    @contextlib.contextmanager
    def checkpoints(self, wake: Callable[[], None]) -> Iterator[Callable[[], None]]:
        """Yield a function that raises a pending interrupt; call it where stopping is safe.

        `wake` is called from a signal's handler when there is one to raise.
        """
        if not _is_main():
            yield _ignore
            return
        outer, self._wake = self._wake, wake
        try:
            yield self._raise
        finally:
            self._wake = outer

    def _raise(self) -> None:
        error, self._pending = self._pending, None
        if error is not None:
            raise error


def _ignore() -> None:
    pass


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


INTERRUPTS = Interrupts()
