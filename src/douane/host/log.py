"""The output of plugins: bounded in length, rate and total, and passed on without blocking."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable

from douane.units import KiB, MiB, number_of

from .policy import clean

DEBUG, INFO, WARNING, CRITICAL = 10, 20, 30, 50
"""As in the logging module, whose import takes 3 ms."""

LogLine = Callable[[str, int, str], None]
"""Called with the plugin's name, the level (as in the logging module) and one line of text."""

MAX_LINE = 4 * KiB
MAX_TOTAL = 256 * KiB
BYTES_A_TICK = MiB // 10
MAX_WAITING = 2000
CLOSE_SECONDS = 1.0

TRACEBACK = "Traceback (most recent call last):"
"""The first line that Python writes about an error that nobody has caught."""


class Emitter:
    """A :data:`LogLine` that never blocks: it hands lines to another one in a thread of its own.

    A standard error that nobody reads would otherwise hold up the loop, and with it every clock. Beyond
    :data:`MAX_WAITING` waiting lines, further ones are dropped and counted.
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
            with contextlib.suppress(OSError, ValueError):  # a closed standard error decides no image
                if dropped:
                    self._emit(
                        "douane", WARNING, f"({number_of(dropped, 'line was', 'lines were')} dropped: nobody read them)"
                    )
                self._emit(*line)

    def close(self) -> None:
        """Wait for the remaining lines, at most :data:`CLOSE_SECONDS`. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)


class PluginLog:
    """The log of one plugin. Lines over the bound are counted and reported once, at the end."""

    def __init__(self, plugin: str, emit: LogLine) -> None:
        self._plugin = plugin
        self._emit = emit
        self._room = MAX_TOTAL
        self._dropped = 0
        self._partial: dict[str, bytes] = {}
        self.first_line: dict[str, str] = {}
        """The first line of each stream that is not blank."""

        self.last_line: dict[str, str] = {}
        """The last such line."""

    def reason(self) -> str:
        """The line of standard error that says why the plugin failed: Python writes it last, others first."""
        first = clean(self.first_line.get("stderr"))
        return clean(self.last_line.get("stderr")) if first == TRACEBACK else first

    @property
    def is_full(self) -> bool:
        """True if a further line may be dropped."""
        return self._room < MAX_LINE

    def line(self, level: int, text: str) -> None:
        """Pass on one line, of the plugin's logger or of a stream."""
        printable = clean(text, MAX_LINE)
        if not printable:
            return
        if len(printable) > self._room:
            self._dropped += 1
            return
        self._room -= len(printable)
        self._emit(self._plugin, level, printable)

    def stream(self, name: str, data: bytes) -> None:
        """Add bytes of stdout or stderr (`name`), which are cut at line ends and at :data:`MAX_LINE`."""
        *lines, rest = (self._partial.get(name, b"") + data).split(b"\n")
        if len(rest) > MAX_LINE:
            lines.append(rest)
            rest = b""
        self._partial[name] = rest
        for line in lines:
            self._stream_line(name, line)

    def _stream_line(self, name: str, line: bytes) -> None:
        printable = line[:MAX_LINE].decode("utf-8", "backslashreplace")
        if printable.strip():
            self.first_line.setdefault(name, printable)
            self.last_line[name] = printable
        self.line(INFO, printable)

    def close(self) -> None:
        """Pass on unfinished lines, and the number of dropped ones. Idempotent."""
        for name, rest in self._partial.items():
            if rest:
                self._stream_line(name, rest)
        self._partial.clear()
        if self._dropped:
            self._emit(
                self._plugin,
                WARNING,
                f"({number_of(self._dropped, 'more line was', 'more lines were')} dropped: too much was logged)",
            )
            self._dropped = 0
