"""The result of a run, and the exceptions that a run raises."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Mapping, NamedTuple, Optional, Union

PropertyValue = Union[str, int, float, bool]

LARGE_OUTPUT_BYTES = 256 << 20
"""Longest new image, in bytes, that `Result.output` returns."""


class Warned(NamedTuple):
    """A call of ``self.warn``: `code` and `message`, both str. It equals a plain tuple of the two."""

    code: str
    message: str


class LogLine(NamedTuple):
    """A line of ``self.log``: `level`, an int as in the logging module, and `message`, a str."""

    level: int
    message: str


class Output:
    """The new image of a transform, in a file without a name."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    def __del__(self) -> None:
        self._file.close()  # explicitly, as the file would warn of it (ResourceWarning)

    def open(self) -> BinaryIO:
        """Return the new image as a file, open for reading bytes from the start."""
        return open(f"/proc/self/fd/{self._file.fileno()}", "rb")


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """The result of one run of a plugin. Two results are equal if tenants and operators see the same of both.

    The fields, all read-only:

    `outcome` (str)
        ``"accepted"``, ``"refused"``, ``"deferred"``, ``"incomplete"`` or ``"failed"``; in the sandbox also
        ``"timeout"``, if a clock of the plugin ran out.
    `code`, `message` (str or None)
        The plugin's own, bounded and cleaned as for the tenant; for a failure, the text that the tenant reads instead.
        None if the image was accepted.
    `retry_after` (float or None)
        Seconds, if the plugin deferred.
    `warnings` (tuple of :class:`Warned`)
        The warnings, in order.
    `properties` (dict of str to str, int, float or bool)
        The properties that the plugin returned or passed to ``image.becomes``, by key, without the plugin's name.
    `proposed` (dict of str to the same or None)
        The proposed properties of the image itself, by their whole name; None stands for a removal.
    `documents` (dict of str to any JSON value)
        The documents that the plugin attached, by name.
    `log` (tuple of :class:`LogLine`)
        The lines of ``self.log`` that ``--verbose`` shows the operator. In the sandbox, also the lines that the plugin
        prints.
    `bytes_seen` (int)
        The number of bytes that the plugin was given; with ``reads = "random"`` and an accept, all of them.
    `unchanged` (bool)
        True if a transform called ``image.unchanged()``.
    `disk_format`, `container_format` (str or None)
        As declared, or as the transform stated by ``image.becomes``.
    `error` (exception or None)
        In process, the exception of a plugin that failed, with its traceback.
    `trace` (str or None)
        The text that the operator reads about a failure, with the author's own frames.
    `sandbox` (str or None)
        The tier of the sandbox; None: in process.
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
    documents: Mapping[str, Any] = field(default_factory=dict)
    _output: Optional[Output] = None

    __hash__ = None  # type: ignore[assignment]  # mappings have no hash

    @property
    def output(self) -> Optional[bytes]:
        """The new image of a transform that accepted, as bytes; None for any other result, and if it is `unchanged`.

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
        """The length in bytes of the new image, or None if there is none."""
        return self._output.size if self._output is not None else None

    def open_output(self) -> BinaryIO:
        """Return the new image, of any length, as a file open for reading bytes. The caller closes it.

        Raises ValueError if there is none.
        """
        if self._output is None:
            raise ValueError(f"there is no new image: the outcome is {self.outcome!r}, unchanged is {self.unchanged}")
        return self._output.open()

    @property
    def log_text(self) -> str:
        """The messages of the log as one str, each on a line."""
        return "".join(line.message + "\n" for line in self.log)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        return not self.differences(other)

    def differences(self, other: Result) -> dict[str, tuple[Any, Any]]:
        """Return the fields in which two results differ, each with both values.

        `log`, `bytes_seen`, `error`, `trace` and `sandbox` are not compared. If the new images differ, the field
        ``"output"`` has their lengths in bytes.
        """
        fields: dict[str, tuple[Any, Any]] = {}
        for name in COMPARED:
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs or repr(ours) != repr(theirs):  # 1, 1.0 and True are not the same property
                fields[name] = (ours, theirs)
        if not _same_output(self._output, other._output):
            fields["output"] = (self.output_size, other.output_size)
        return fields

    def __repr__(self) -> str:
        parts = [repr(self.outcome)]
        for name in ("code", "message", "retry_after"):
            if getattr(self, name) is not None:
                parts.append(f"{name}={getattr(self, name)!r}")
        if self.warnings:
            parts.append(f"warnings={[tuple(warning) for warning in self.warnings]!r}")
        parts += [
            f"{name}={getattr(self, name)!r}" for name in ("properties", "proposed", "documents") if getattr(self, name)
        ]
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
    "documents",
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
    """A failure of the plugin without an exception, or with one that cannot be raised in the test.

    In process: properties that the plugin may not set, too many warnings, ``sys.exit``, an answer raised in the
    constructor. In the sandbox: any failure; the text has the plugin's traceback. `result` is the :class:`Result`.
    """

    def __init__(self, message: str, result: Result) -> None:
        self.result = result
        super().__init__(message)


class WrongConfiguration(ValueError):
    """The plugin cannot be used at all, or not with this configuration, so that Douane would not start.

    The cause is a setting that is missing, unknown or of a wrong type, a ValueError or TypeError of the constructor,
    or an invalid ``api`` or ``reads``. `key` is the name of the setting, or None if it is not known, as always in the
    sandbox.
    """

    def __init__(self, message: str, key: Optional[str] = None) -> None:
        self.key = key
        super().__init__(message)


class NoSandbox(RuntimeError):
    """The sandbox is not available. The text says what to install or to change."""
