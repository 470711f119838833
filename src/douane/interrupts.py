"""Signals that end the program, at a place where nothing is half done.

Python runs a signal's handler between any two bytecodes of the main thread. What it raises there can fall between a
lock that has been taken and the block that lets it go again (bpo-29988), into a transaction, or into a finalizer, which
swallows it. While a pass runs in the main thread it is therefore kept, and raised where the pass waits.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


class Interrupts:
    """Of the main thread; in others nothing here does anything, since no signal is handled there."""

    def __init__(self) -> None:
        self._holds = 0
        self._pending: BaseException | None = None
        self._wake: Callable[[], None] = _nobody

    def interrupt(self, error: BaseException) -> None:
        """For a signal's handler: raise `error`, now, or if a pass is under way as soon as it can be left in order. A
        second one does not wait."""
        if not self._holds or self._pending is not None:
            raise error
        self._pending = error
        self._wake()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What comes meanwhile is raised where :meth:`checked` allows it, or at the end."""
        if not _is_main():
            yield
            return
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            if not self._holds:
                self._raise()

    @contextlib.contextmanager
    def checked(self, wake: Callable[[], None]) -> Iterator[Callable[[], None]]:
        """Gives what is to be called wherever it may be raised; `wake` is called when that should be soon."""
        if not _is_main():
            yield _nobody
            return
        before, self._wake = self._wake, wake
        try:
            yield self._raise
        finally:
            self._wake = before

    def _raise(self) -> None:
        error, self._pending = self._pending, None
        if error is not None:
            raise error


def _nobody() -> None:
    pass


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


INTERRUPTS = Interrupts()
