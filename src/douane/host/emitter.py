"""Handing log lines on without waiting for whoever takes them."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque

from .log import LogLine

MAX_WAITING = 2000
CLOSE_SECONDS = 1.0


class Emitter:
    """Called like the :data:`logs.LogLine` it is made with, in whose place it stands; never blocks.

    A standard error that nobody reads would else hold up the engine's loop, and with it every clock. Lines wait for
    a thread of their own; beyond :data:`MAX_WAITING` they are dropped and counted.
    """

    def __init__(self, emit: LogLine) -> None:
        self._emit = emit
        self._lines: deque[tuple[str, int, str]] = deque()
        self._dropped = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def __call__(self, plugin: str, level: int, text: str) -> None:
        with self._changed:
            if len(self._lines) >= MAX_WAITING:
                self._dropped += 1
                return
            self._lines.append((plugin, level, text))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="douane-log", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._closed:
                    self._changed.wait()
                if not self._lines:
                    return
                line = self._lines.popleft()
                dropped, self._dropped = self._dropped, 0
            with contextlib.suppress(OSError, ValueError):  # nobody takes them any more: that decides no image
                if dropped:
                    self._emit("douane", logging.WARNING, f"({dropped} lines were dropped: nobody read them)")
                self._emit(*line)

    def close(self) -> None:
        """Wait for the lines that are left, but not for ever. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
