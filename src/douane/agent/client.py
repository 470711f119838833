"""Asking the agent, from a worker of an image service."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from douane.declared import DeclaredImage
from douane.engine import Report, RunEnded
from douane.errors import AgentError, AgentUnavailable

from .protocol import VERSION, Broken, Hangup, Line

_T = TypeVar("_T")
_PIPE_BYTES = 1 << 20
_TOGETHER_BYTES, _LATEST_S = 1 << 19, 0.02
"""So many are written at once, unless the last ones were so many seconds ago: Glance has 64 KiB at a time, and to wake
the agent for each of them cost as much as to copy it."""
_MOST_PIECES = 1024  # IOV_MAX, writev(2)
_AGAIN_SECONDS = 0.5
_ANSWER_SECONDS = 30.0
"""One that does not answer so long what it serves is stopped, or hangs."""


class Agent:
    """The agent that listens on the socket at `path`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def plan(self, *, patience: float = 0.0) -> dict[str, Any]:
        """What it serves: ``transforms`` (bool), ``digest``, ``tier``, ``plugins``. One that does not run is asked
        again for `patience` seconds. Raises DouaneError."""

        def ask() -> dict[str, Any]:
            with contextlib.closing(self._connect(patience=_ANSWER_SECONDS)) as line:
                return _last(line, {"version": VERSION, "do": "plan"}, ())

        return _patiently(ask, patience)

    def begin(self, declared: DeclaredImage, size: int | None, name: str) -> AgentPassage:
        """Begin to hand over an image piece by piece. Raises DouaneError."""
        return AgentPassage(self._connect(), declared, size, name)

    def inspect(
        self, fd: int, declared: DeclaredImage, name: str, *, sink: int | None = None, patience: float = 0.0
    ) -> Report:
        """Have the regular file `fd` inspected; what comes out is written into the file `sink`, if that is given.

        An agent that goes away meanwhile is asked again, from the beginning, for `patience` seconds: one that is
        restarted loses no import. Raises DouaneError.
        """
        asked = {"version": VERSION, "do": "inspect", "declared": declared.to_json(), "name": name}

        def ask() -> Report:
            if sink is not None:
                os.ftruncate(sink, 0)
            with contextlib.closing(self._connect()) as line:
                return _report(_last(line, asked, (fd,) if sink is None else (fd, sink)))

        return _patiently(ask, patience)

    def _connect(self, *, patience: float | None = None) -> Line:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_ANSWER_SECONDS)
        try:
            connection.connect(self.path)
        except OSError as error:
            connection.close()
            raise AgentUnavailable(
                f"the agent does not answer at {self.path} ({error.strerror or error}): start `douane agent`"
            ) from error
        return Line(connection, patience=patience)


class AgentPassage:
    """An image on its way to the agent, as :class:`douane.engine.Inspection` is one in this process."""

    def __init__(self, line: Line, declared: DeclaredImage, size: int | None, name: str) -> None:
        self.plan = ""
        """SHA-256 (hex) of the plan that the image goes through."""
        self._line = line
        self._result: Report | None = None
        self._pipe = -1
        self._pieces: list[bytes] = []
        self._length = 0  # bytes of them
        self._written = 0.0
        try:
            theirs, self._pipe = os.pipe2(os.O_CLOEXEC)
            try:
                with contextlib.suppress(OSError):  # a bound of the machine's on pipes: then it is a smaller one
                    fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
                asked = {
                    "version": VERSION,
                    "do": "inspect",
                    "declared": declared.to_json(),
                    "size": size,
                    "name": name,
                }
                line.send(asked, (theirs,))
            finally:
                os.close(theirs)
            self._wait_until_begun()
        except Hangup as error:
            self.abort("")
            raise AgentUnavailable("the agent went away before it had begun") from error
        except BaseException:
            self.abort("")
            raise

    def _wait_until_begun(self) -> None:
        """Raises DouaneError where it is not taken: so before a byte of it was read from whoever sends it."""
        while (told := _line(self._line)).get("state") == "waiting":
            pass
        if told.get("state") != "begun":
            self._result = _report(told)
        self.plan = str(told.get("plan"))

    def write(self, data: bytes) -> None:
        """Hand over the next bytes; waits for the slowest plugin. Raises RunEnded."""
        if self._pipe < 0:
            raise RunEnded
        self._pieces.append(data)
        self._length += len(data)
        is_much = self._length >= _TOGETHER_BYTES or len(self._pieces) == _MOST_PIECES
        if is_much or time.monotonic() - self._written > _LATEST_S:
            self._flush()

    def _flush(self) -> None:
        pieces = [memoryview(piece) for piece in self._pieces]
        self._pieces, self._length = [], 0
        while pieces:
            try:
                done = os.writev(self._pipe, pieces)
            except BrokenPipeError:
                raise RunEnded from None
            while pieces and done >= len(pieces[0]):
                done -= len(pieces.pop(0))
            if done:
                pieces[0] = pieces[0][done:]
        self._written = time.monotonic()

    def finish(self) -> Report:
        """That was all: wait for the outcome. Raises DouaneError."""
        with contextlib.suppress(RunEnded):
            self._flush()
        self._close_pipe()
        with contextlib.suppress(Hangup):  # it has refused already: what it said is there to be read
            self._line.send({"do": "end"})
        return self.result()

    def abort(self, reason: str) -> None:
        """Give it up: the agent ends what it does for it. Idempotent."""
        self._close_pipe()
        self._line.close()

    def result(self) -> Report:
        """The outcome, when it stands. Raises DouaneError."""
        self._close_pipe()
        if self._result is None:
            try:
                self._result = _report(_line(self._line))
            finally:
                self._line.close()
        return self._result

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def _patiently(ask: Callable[[], _T], seconds: float) -> _T:
    end = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except AgentUnavailable:
            if time.monotonic() > end:
                raise
            time.sleep(_AGAIN_SECONDS)


def _last(line: Line, asked: dict[str, Any], fds: tuple[int, ...]) -> dict[str, Any]:
    try:
        line.send(asked, fds)
    except Hangup as error:
        raise AgentUnavailable("the agent went away") from error
    while (told := _line(line)).get("state") in ("waiting", "begun"):
        pass
    if told.get("state") == "failed":
        raise AgentError(str(told.get("message")), code=str(told.get("code")), retry_after=told.get("retry_after"))
    return told


def _line(line: Line) -> dict[str, Any]:
    try:
        return line.receive()[0]
    except Hangup as error:
        raise AgentUnavailable("the agent went away in the middle of an image") from error
    except Broken as error:
        raise AgentError(str(error)) from error


def _report(told: dict[str, Any]) -> Report:
    if told.get("state") != "done":
        raise AgentError(str(told.get("message")), code=str(told.get("code")), retry_after=told.get("retry_after"))
    try:
        return msgspec.convert(told.get("report"), type=Report)
    except msgspec.ValidationError as error:
        raise AgentError(f"the agent's report cannot be read: {error}") from error
