"""The engine's one loop: descriptors, calls from other threads, and a tick. Everything else is its callback."""

from __future__ import annotations

import contextlib
import os
import selectors
import time
from collections import deque
from collections.abc import Callable

from douane.interrupts import INTERRUPTS

TICK_SECONDS = 0.1


class Loop:
    """Runs in the thread that asked for the pass; `call` is the only method for other threads."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._calls: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._wake, selectors.EVENT_READ, self._woken)
        self._next_tick = time.monotonic() + TICK_SECONDS

    def call(self, function: Callable[[], None]) -> None:
        """Have `function` called in the loop's thread, soon. Safe from any thread, never blocks."""
        self._calls.append(function)
        with contextlib.suppress(OSError):  # closed: the pass has ended, nobody cares any more
            os.eventfd_write(self._wake, 1)

    def watch(self, fd: int, callback: Callable[[], None], *, write: bool = False) -> None:
        """Call `callback` whenever `fd` can be read (with `write`, also when it can be written)."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0)
        try:
            self._selector.modify(fd, events, callback)
        except KeyError:
            self._selector.register(fd, events, callback)

    def forget(self, fd: int) -> None:
        """Watch `fd` no more; before it is closed. It need not be watched."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(fd)

    def run(self, until: Callable[[], bool], tick: Callable[[float], None]) -> None:
        """Go on until `until()`; `tick(seconds since the last)` is called about ten times a second. What a signal's
        handler wants raised, is raised here."""
        last = time.monotonic()
        with INTERRUPTS.checked(lambda: self.call(lambda: None)) as check:
            while not until():
                check()
                now = time.monotonic()
                if now >= self._next_tick:
                    tick(min(now - last, 1.0))  # a machine that slept has not made a plugin slow
                    last = now
                    self._next_tick = now + TICK_SECONDS
                    continue
                for key, _ in self._selector.select(self._next_tick - now):
                    key.data()

    def _woken(self) -> None:
        os.eventfd_read(self._wake)
        while self._calls:
            self._calls.popleft()()

    def close(self) -> None:
        """Give the descriptors back."""
        self._selector.close()
        os.close(self._wake)
