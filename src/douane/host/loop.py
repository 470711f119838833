"""The one loop of a run: descriptors, a tick, and events from this thread and others."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable

from douane.interrupts import INTERRUPTS

from .events import Event

TICK_SECONDS = 0.1

Handler = Callable[[Event], None]


class Loop:
    """Runs in the thread that made it. :meth:`post` is the only method for other threads."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._selector = selectors.DefaultSelector()
        self._events: deque[Event] = deque()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            self._selector.register(self._wake_fd, selectors.EVENT_READ, self._clear_wake)
        except BaseException:
            self.close()
            raise
        self._next_tick = time.monotonic() + TICK_SECONDS

    def post(self, event: Event) -> None:
        """Have `event` handled soon, after those posted before it. Safe from any thread, never blocks."""
        self._events.append(event)
        if threading.get_ident() != self._thread:
            self._wake()

    def watch(self, fd: int, callback: Callable[[], None], *, write: bool = False) -> None:
        """Call `callback` whenever `fd` can be read (with `write`, also when it can be written)."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0)
        try:
            self._selector.modify(fd, events, callback)
        except KeyError:
            self._selector.register(fd, events, callback)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`, before it is closed. It need not be watched."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(fd)

    def run(self, handle: Handler, until: Callable[[], bool], tick: Callable[[float], None]) -> None:
        """Run until `until()`, calling `handle` with each event.

        `tick(seconds since the last)` is called about ten times a second. Raises the exception of a pending interrupt.
        """
        last = time.monotonic()
        with INTERRUPTS.checkpoints(self._wake) as check:
            self._drain(handle)
            while not until():
                check()
                now = time.monotonic()
                if now >= self._next_tick:
                    tick(min(now - last, 1.0))  # a machine that slept has not made a plugin slow
                    last = now
                    self._next_tick = now + TICK_SECONDS
                else:
                    self._select(self._next_tick - now, handle)
                self._drain(handle)

    def poll(self, handle: Handler) -> None:
        """Call the callbacks that are ready now, without waiting and without a tick."""
        self._select(0, handle)

    def _select(self, seconds: float, handle: Handler) -> None:
        for key, _ in self._selector.select(seconds):
            key.data()
            self._drain(handle)

    def _drain(self, handle: Handler) -> None:
        # At once, so that no frame is read before the consequences of the one before have been drawn.
        while self._events:
            handle(self._events.popleft())

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # closed: the run has ended
            os.eventfd_write(self._wake_fd, 1)

    def _clear_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)

    def close(self) -> None:
        """Give the descriptors back."""
        self._selector.close()
        os.close(self._wake_fd)
