"""What came of a run: one object to assert on, and the errors that a run raises."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Mapping, NamedTuple, Optional, Union

PropertyValue = Union[str, int, float, bool]

LARGE_OUTPUT_BYTES = 256 << 20
"""A new image up to this length is given as bytes."""


class Warned(NamedTuple):
    """What ``self.warn`` was given: `code` and `message`, both str. Equal to a plain tuple of the two."""

    code: str
    message: str


class LogLine(NamedTuple):
    """A line of ``self.log``: `level`, an int as in the logging module, and `message`, a str."""

    level: int
    message: str


class Output:
    """A transform's new image, in a file without a name."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    def __del__(self) -> None:
        self._file.close()  # before the file does so itself, which it tells by a ResourceWarning

    def open(self) -> BinaryIO:
        """It, open for reading bytes, from the beginning."""
        return open(f"/proc/self/fd/{self._file.fileno()}", "rb")


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """What came of one run of a plugin. Two results are equal if all that tenants and operators see of them is.

    The fields, all read-only:

    `outcome` (str)
        ``"accepted"``, ``"refused"``, ``"deferred"``, ``"incomplete"`` or ``"failed"``; in the sandbox also
        ``"timeout"``, if one of its clocks ran out.
    `code`, `message` (str or None)
        As the plugin gave them, cut and cleaned as the tenant sees them; for a failure what the tenant is told
        instead. None if it was accepted.
    `retry_after` (float or None)
        Seconds, if it was deferred.
    `warnings` (tuple of :class:`Warned`)
        In the order in which they were given.
    `properties` (dict of str to str, int, float or bool)
        What was returned, or given to ``image.becomes``, without the plugin's name before the key.
    `proposed` (dict of str to the same or None)
        What was proposed of the image itself, by whole name; None: to be removed.
    `log` (tuple of :class:`LogLine`)
        All lines of ``self.log`` that the operator would get with ``--verbose``. Lines that the plugin prints are
        among them in the sandbox only.
    `bytes_seen` (int)
        Bytes of the image that were handed out; for ``reads = "random"``, if it was accepted, all of them.
    `unchanged` (bool)
        True if a transform said so.
    `disk_format`, `container_format` (str or None)
        As declared, or as the transform said that they have become.
    `error` (exception or None)
        In process, if the plugin failed: what it raised, with its traceback.
    `trace` (str or None)
        If it failed: what the operator is told, with the author's own frames.
    `sandbox` (str or None)
        The tier in which it ran; None: in process.
    """

    outcome: str
    code: Optional[str] = None
    message: Optional[str] = None
    retry_after: Optional[float] = None
    warnings: tuple[Warned, ...] = ()
    properties: Mapping[str, PropertyValue] = field(default_factory=dict)
    proposed: Mapping[str, Optional[PropertyValue]] = field(default_factory=dict)
    log: tuple[LogLine, ...] = ()
    bytes_seen: int = 0
    unchanged: bool = False
    disk_format: Optional[str] = None
    container_format: Optional[str] = None
    error: Optional[BaseException] = None
    trace: Optional[str] = None
    sandbox: Optional[str] = None
    _output: Optional[Output] = None

    __hash__ = None  # type: ignore[assignment]  # it holds mappings, so a hash would fail in the middle

    @property
    def output(self) -> Optional[bytes]:
        """The new image of a transform that was accepted, as bytes; None for all else, and if it is `unchanged`.

        Raises ValueError if it is longer than 256 MiB: use :meth:`open_output`.
        """
        if self._output is None:
            return None
        if self._output.size > LARGE_OUTPUT_BYTES:
            raise ValueError(f"the new image has {self._output.size} bytes; read it from result.open_output()")
        with self._output.open() as file:
            return file.read()

    @property
    def output_size(self) -> Optional[int]:
        """The length in bytes of the new image of a transform that was accepted, or None."""
        return self._output.size if self._output is not None else None

    def open_output(self) -> BinaryIO:
        """The new image of a transform, however large, as a file open for reading bytes, which the caller closes.

        Raises ValueError if there is none.
        """
        if self._output is None:
            raise ValueError(f"there is no new image: the outcome is {self.outcome!r}, unchanged is {self.unchanged}")
        return self._output.open()

    @property
    def log_text(self) -> str:
        """The log as one str, a line each."""
        return "".join(line.message + "\n" for line in self.log)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        return not self.differences(other)

    def differences(self, other: Result) -> dict[str, tuple[Any, Any]]:
        """The fields in which two results differ, each with both values: all but `log`, `bytes_seen`, the traceback
        and the tier. ``"output"`` is among them if the new images differ, with their lengths in bytes.
        """
        found: dict[str, tuple[Any, Any]] = {}
        for name in COMPARED:
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs or repr(ours) != repr(theirs):  # 1, 1.0 and True are not the same property
                found[name] = (ours, theirs)
        if not _same_output(self._output, other._output):
            found["output"] = (self.output_size, other.output_size)
        return found

    def __repr__(self) -> str:
        parts = [repr(self.outcome)]
        for name in ("code", "message", "retry_after"):
            if getattr(self, name) is not None:
                parts.append(f"{name}={getattr(self, name)!r}")
        if self.warnings:
            parts.append(f"warnings={[tuple(one) for one in self.warnings]!r}")
        parts += [f"{name}={getattr(self, name)!r}" for name in ("properties", "proposed") if getattr(self, name)]
        if self.unchanged:
            parts.append("unchanged=True")
        if self._output is not None:
            parts.append(f"output of {self._output.size} bytes")
        if self.error is not None:
            parts.append(f"error={self.error!r}")
        parts.append(f"{self.bytes_seen} bytes seen")
        if self.log:
            parts.append(f"{len(self.log)} log lines")
        if self.sandbox is not None:
            parts.append(f"sandbox={self.sandbox!r}")
        return f"Result({', '.join(parts)})"


COMPARED = (
    "outcome",
    "code",
    "message",
    "retry_after",
    "warnings",
    "properties",
    "proposed",
    "unchanged",
    "disk_format",
    "container_format",
)


def _same_output(ours: Optional[Output], theirs: Optional[Output]) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    if ours.size != theirs.size:
        return False
    with ours.open() as first, theirs.open() as second:
        while True:
            part = first.read(1 << 20)
            if part != second.read(1 << 20):
                return False
            if not part:
                return True


class PluginFailed(Exception):
    """The plugin failed in a way that has no exception of its own, or none that could cross the sandbox.

    Properties that it may not set, too many warnings, ``sys.exit``, an answer raised in the constructor; in the
    sandbox any failure, the text has the plugin's traceback then. `result` is the :class:`Result`.
    """

    def __init__(self, message: str, result: Result) -> None:
        self.result = result
        super().__init__(message)


class WrongConfiguration(ValueError):
    """The plugin cannot be used, or not with this configuration: what stops Douane at its start.

    A key that is missing, unknown or of a wrong type; ValueError and TypeError out of the constructor; an ``api`` or
    ``reads`` that is none. `key` is the name of the setting, None where
    it is not known: always in the sandbox.
    """

    def __init__(self, message: str, key: Optional[str] = None) -> None:
        self.key = key
        super().__init__(message)


class NoSandbox(RuntimeError):
    """The sandbox that was asked for cannot be had here; the text says what to install or to change."""
