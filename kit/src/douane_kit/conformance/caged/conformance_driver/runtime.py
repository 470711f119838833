"""What a plugin's instance is bound to in a case, in place of `douane_plugin._runtime`: the same rules, no engine."""

from __future__ import annotations

import hashlib
import logging
import os

from douane_plugin import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNCHANGED_WITHIN = 4 << 20
OUTPUT_KEPT = 256


class TooMuchOutput(BaseException):
    """A transform makes more than can come of such an image. No Exception: a plugin must not catch it."""


class Rules(Exception):
    """A rule of the contract that the engine holds a plugin to."""


class _Count(logging.Handler):
    def __init__(self, runtime: CaseRuntime) -> None:
        super().__init__()
        self._runtime = runtime

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # as in production: a line that does not fit its arguments must not fail the image
            text = "(a log line that cannot be formatted)"
        self._runtime.logged += min(len(text), wire.MAX_LOG_TEXT)


class CaseRuntime:
    """One case's."""

    def __init__(self, name: str, grants: dict[str, Any], scratch: Any, level: int, most_output: int) -> None:
        self._name = name
        self._granted = grants
        self._grants: dict[str, Any] = {}
        self._scratch = scratch
        self._scratch_made: Any = None
        self._level = level
        self._most_output = most_output
        self._log: Any = None
        self.events: list[str] = []
        self.warnings: list[tuple[str, str]] = []
        self.proposed: dict[str, Any] = {}
        self.properties: dict[str, Any] = {}
        self.becoming: dict[str, Any] = {}
        self.logged = 0
        self.is_unchanged = False
        self.output_begun = False
        self.output_bytes = 0
        self.output_start = b""
        self._digest = hashlib.sha256()
        self.output_parts: list[bytes] = []
        self.output_wanted = 0

    def event(self, what: str) -> None:
        """Note what the outcome alone would not show."""
        if len(self.events) < 50 and what not in self.events:
            self.events.append(what)

    @property
    def log(self) -> logging.Logger:
        if self._log is None:
            self._log = logging.Logger(self._name, self._level)
            self._log.addHandler(_Count(self))
        log: logging.Logger = self._log
        return log

    def warn(self, code: str, message: str) -> None:
        self.warnings.append((code, message[: wire.MAX_MESSAGE]))

    def propose(self, name: str, value: Any) -> None:
        self.proposed[name] = value
        if len(self.proposed) > wire.MAX_PROPERTIES:
            raise ValueError(f"at most {wire.MAX_PROPERTIES} properties can be proposed")

    def grant(self, name: str) -> Any:
        if name not in self._granted:
            self.event(f"no-grant:{name}")
            have = ", ".join(self._granted) or "nothing"
            raise LookupError(f"the operator's configuration grants {have} to this plugin, not {name!r}")
        if name not in self._grants:
            told = self._granted[name]
            if told["kind"] == "socket":
                import socket

                self._grants[name] = socket.socket(fileno=os.dup(told["fd"]))
            else:
                os.lseek(told["fd"], 0, os.SEEK_SET)
                self._grants[name] = os.fdopen(told["fd"], "rb", closefd=False)
        return self._grants[name]

    @property
    def scratch(self) -> Any:
        if not self._scratch:
            self.event("no-scratch")
            raise LookupError("the operator gave this plugin no room to write")
        if self._scratch_made is None:
            from douane_plugin import Scratch

            for fd in self._scratch["fds"]:
                os.ftruncate(fd, 0)
                os.lseek(fd, 0, os.SEEK_SET)
            self._scratch_made = tuple(Scratch(fd, self._scratch["bytes"]) for fd in self._scratch["fds"])
        return self._scratch_made

    def alive(self) -> None:
        """Nobody waits."""

    def becomes(self, disk_format: Any, container_format: Any, properties: Any) -> None:
        for key, value in (("disk_format", disk_format), ("container_format", container_format)):
            if value is not None:
                if not isinstance(value, str):
                    raise ValueError(f"{key} is a text such as 'raw', not {value!r:.60}")
                self.becoming[key] = value
        if properties is not None:
            self.properties.update(properties)

    def unchanged(self, offset: int) -> None:
        if self.output_begun:
            self.event("unchanged-late")
            raise ValueError("image.unchanged() comes before the first yield")
        if offset >= UNCHANGED_WITHIN:
            self.event("unchanged-late")
            raise ValueError(
                f"image.unchanged() comes before {UNCHANGED_WITHIN} bytes have been read, not after {offset}"
            )
        self.is_unchanged = True

    def transform(self, plugin: Any, image: Any) -> None:
        """Run the generator; keep what is to be known of its output."""
        output = plugin.transform(image)
        if not hasattr(output, "__next__"):
            self.event("wrong-return")
            raise TypeError(f"transform() returned {output!r:.60}; it must be a generator that yields bytes")
        iterator = iter(output)
        while True:
            try:
                part = next(iterator)
            except StopIteration:
                return
            try:
                view = memoryview(part).cast("B")
            except TypeError:
                self.event("wrong-return")
                raise
            del part
            self._take(view)
            view.release()
            del view

    def _take(self, view: memoryview) -> None:
        if not len(view):
            return
        if self.is_unchanged:
            self.event("yield-after-unchanged")
            raise ValueError("the transform said image.unchanged() and then yielded bytes")
        self.output_begun = True
        self.output_bytes += len(view)
        self._digest.update(view)
        if self.output_wanted:
            self.output_parts.append(bytes(view[: self.output_wanted]))
            self.output_wanted -= len(self.output_parts[-1])
        if len(self.output_start) < OUTPUT_KEPT:
            self.output_start += bytes(view[: OUTPUT_KEPT - len(self.output_start)])
        if self.output_bytes > self._most_output:
            self.event("too-much-output")
            raise TooMuchOutput

    def digest(self) -> str:
        """sha256 (hex) of what has been yielded."""
        return self._digest.hexdigest()
