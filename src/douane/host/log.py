"""What plugins print and log, bounded in length, rate and total."""

from __future__ import annotations

import logging
from collections.abc import Callable

from douane.units import KiB, MiB

from .policy import clean

LogLine = Callable[[str, int, str], None]
"""Called with the plugin's name, the level (as in the logging module) and one line of text."""

MAX_LINE = 4 * KiB
MAX_TOTAL = 256 * KiB
BYTES_A_TICK = MiB // 10


class PluginLog:
    """The log of one plugin. What is over the bound is counted, and said once at the end."""

    def __init__(self, plugin: str, emit: LogLine) -> None:
        self._plugin = plugin
        self._emit = emit
        self._left = MAX_TOTAL
        self._dropped = 0
        self._partial: dict[str, bytes] = {}
        self.first_line: dict[str, str] = {}

    @property
    def is_full(self) -> bool:
        """What comes now is dropped."""
        return self._left < MAX_LINE

    def line(self, level: int, text: str) -> None:
        """One line, of self.log or of a stream."""
        shown = clean(text, MAX_LINE)
        if not shown:
            return
        if len(shown) > self._left:
            self._dropped += 1
            return
        self._left -= len(shown)
        self._emit(self._plugin, level, shown)

    def stream(self, name: str, data: bytes) -> None:
        """Bytes of stdout or stderr (`name`), cut at line ends and at MAX_LINE."""
        *lines, rest = (self._partial.get(name, b"") + data).split(b"\n")
        if len(rest) > MAX_LINE:
            lines.append(rest)
            rest = b""
        self._partial[name] = rest
        for line in lines:
            self._stream_line(name, line)

    def _stream_line(self, name: str, line: bytes) -> None:
        shown = line[:MAX_LINE].decode("utf-8", "backslashreplace")
        if name not in self.first_line and shown.strip():
            self.first_line[name] = shown
        self.line(logging.INFO, shown)

    def close(self) -> None:
        """The plugin has ended."""
        for name, rest in self._partial.items():
            if rest:
                self._stream_line(name, rest)
        self._partial.clear()
        if self._dropped:
            self._emit(
                self._plugin,
                logging.WARNING,
                f"({self._dropped} more lines were dropped: too much was logged)",
            )
            self._dropped = 0
