"""Asking the agent, from a worker of an image service."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from douane.bills.kept import InventoryRecord
from douane.declared import DeclaredImage
from douane.engine import Report, RunEnded
from douane.engine.served_plan import PlanFacts
from douane.errors import AgentError, AgentUnavailable
from douane.plan.binding import ANYBODY, Sender
from douane.stream.connection import Connection, Hangup, wait_until_ready

from .protocol import (
    BillReply,
    BillRequest,
    End,
    Failed,
    InspectReply,
    InspectRequest,
    PlanReply,
    PlanRequest,
    Reported,
    Started,
    Waiting,
)

_T = TypeVar("_T")
_PIPE_BYTES = 1 << 20
_BATCH_BYTES, _BATCH_SECONDS = 1 << 19, 0.02
"""Pieces are written together until there are so many bytes, or the last write is so long ago: Glance hands over 64 KiB
at a time, and to wake the agent for each piece cost as much as to copy it."""
_MAX_PIECES = 1024  # IOV_MAX, writev(2)
_RETRY_SECONDS = 0.5
_ANSWER_SECONDS = 30.0
"""An agent that takes longer to say which plan it serves is stopped, or hangs."""


class Agent:
    """The agent that listens on the socket at `path`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def plan(self, *, patience: float = 0.0) -> PlanFacts:
        """The plan that it serves. An agent that does not run is asked again for `patience` seconds.

        Raises DouaneError.
        """

        def ask() -> PlanFacts:
            with contextlib.closing(self._connect(patience=_ANSWER_SECONDS)) as connection, _unavailable():
                connection.send(PlanRequest())
                reply: PlanReply = connection.receive(PlanReply)
            if isinstance(reply, Failed):
                raise _failure(reply)
            return reply

        return _retry(ask, patience)

    def begin(
        self,
        declared: DeclaredImage,
        size: int | None,
        name: str,
        sender: Sender = ANYBODY,
        image_id: str | None = None,
    ) -> AgentInspection:
        """Begin to hand over an image piece by piece. Raises DouaneError.

        With `image_id` the report of an accepted image has its summary, if the agent's plan says so.
        """
        return AgentInspection(self._connect(), declared, size, name, sender, image_id)

    def inspect(
        self,
        fd: int,
        declared: DeclaredImage,
        name: str,
        *,
        sink: int | None = None,
        patience: float = 0.0,
        sender: Sender = ANYBODY,
        image_id: str | None = None,
    ) -> Report:
        """Have the regular file `fd` inspected; the result is written into the file `sink`, if there is one.

        `image_id` is that of `begin`.

        If the agent goes away meanwhile, start again from the beginning for `patience` seconds, so that a restart of
        the agent loses no import. Raises DouaneError.
        """
        request = InspectRequest(declared, name, image_id, sender)

        def ask() -> Report:
            if sink is not None:
                os.ftruncate(sink, 0)
            with contextlib.closing(self._connect()) as connection:
                with _unavailable():
                    connection.send(request, (fd,) if sink is None else (fd, sink))
                while isinstance(reply := _receive(connection), Waiting | Started):
                    pass
            return _report(reply)

        return _retry(ask, patience)

    def write_bill(self, record: InventoryRecord, fd: int, *, patience: float = 0.0) -> None:
        """Have the bill of materials of an accepted image written into the file `fd`, by the inventory in its report.

        An agent that does not run is asked again for `patience` seconds. Raises DouaneError.
        """

        def ask() -> None:
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
            with contextlib.closing(self._connect()) as connection, _unavailable():
                connection.send(BillRequest(record), (fd,))
                reply: BillReply = connection.receive(BillReply)
            if isinstance(reply, Failed):
                raise _failure(reply)

        _retry(ask, patience)

    def _connect(self, *, patience: float | None = None) -> Connection:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Not settimeout: a connection without blocking fails at once while many others wait to be accepted (EAGAIN).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(_ANSWER_SECONDS), 0))
        try:
            sock.connect(self.path)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bytes(struct.calcsize("ll")))
        except OSError as error:
            sock.close()
            raise AgentUnavailable(
                f"the agent does not answer at {self.path} ({error.strerror or error}): start `douane agent`"
            ) from error
        return Connection(sock, patience=patience)


class AgentInspection:
    """An image on its way to the agent; the counterpart of :class:`douane.engine.Inspection` in this process."""

    def __init__(
        self,
        connection: Connection,
        declared: DeclaredImage,
        size: int | None,
        name: str,
        sender: Sender = ANYBODY,
        image_id: str | None = None,
    ) -> None:
        """Raises DouaneError if the agent declines, before any byte is read from the image's sender."""
        self.plan_digest = ""
        """SHA-256 (hex) of the plan that the image goes through."""
        self._connection = connection
        self._report: Report | None = None
        self._pipe = -1
        self._pieces: list[bytes] = []
        self._pending_bytes = 0
        self._last_write = 0.0
        try:
            read_end, self._pipe = os.pipe2(os.O_CLOEXEC)
            try:
                os.set_blocking(self._pipe, not has_green_threads())
                with contextlib.suppress(OSError):  # a host may limit the size of pipes; a smaller one works, too
                    fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
                with _unavailable():
                    connection.send(InspectRequest(declared, name, image_id, sender, size), (read_end,))
            finally:
                os.close(read_end)
            while isinstance(reply := _receive(connection), Waiting):
                pass
            if isinstance(reply, Started):
                self.plan_digest = reply.plan
            else:
                self._report = _report(reply)
        except BaseException:
            self.abort("")
            raise

    def write(self, data: bytes) -> None:
        """Hand over the next bytes; waits for the slowest plugin. Raises RunEnded."""
        if self._pipe < 0:
            raise RunEnded
        self._pieces.append(data)
        self._pending_bytes += len(data)
        is_full = self._pending_bytes >= _BATCH_BYTES or len(self._pieces) == _MAX_PIECES
        if is_full or time.monotonic() - self._last_write > _BATCH_SECONDS:
            self._flush()

    def _flush(self) -> None:
        pieces = [memoryview(piece) for piece in self._pieces]
        self._pieces, self._pending_bytes = [], 0
        while pieces:
            try:
                written = os.writev(self._pipe, pieces)
            except BrokenPipeError:
                raise RunEnded from None
            except BlockingIOError:
                wait_until_ready(self._pipe, selectors.EVENT_WRITE, None)
                continue
            while pieces and written >= len(pieces[0]):
                written -= len(pieces.pop(0))
            if written:
                pieces[0] = pieces[0][written:]
        self._last_write = time.monotonic()

    def finish(self) -> Report:
        """The image is complete: wait for the outcome. Raises DouaneError."""
        with contextlib.suppress(RunEnded):
            self._flush()
        self._close_pipe()
        with contextlib.suppress(Hangup):  # the agent has refused already, and its report is there to be read
            self._connection.send(End())
        return self.result()

    def abort(self, reason: str) -> None:
        """Give the image up: the agent stops its work. Idempotent."""
        self._close_pipe()
        self._connection.close()

    def result(self) -> Report:
        """Wait for the report. Raises DouaneError."""
        self._close_pipe()
        if self._report is None:
            try:
                self._report = _report(_receive(self._connection))
            finally:
                self._connection.close()
        return self._report

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def has_green_threads() -> bool:
    """True if eventlet has replaced Python's threads with its own: one that waits in a system call stops all others."""
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))


def _retry(ask: Callable[[], _T], seconds: float) -> _T:
    end = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except AgentUnavailable:
            if time.monotonic() > end:
                raise
            time.sleep(_RETRY_SECONDS)


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except Hangup as error:
        raise AgentUnavailable(f"the agent went away: {error}") from error


def _receive(connection: Connection) -> InspectReply:
    with _unavailable():
        reply: InspectReply = connection.receive(InspectReply)
    return reply


def _report(reply: InspectReply) -> Report:
    if isinstance(reply, Reported):
        return reply.report
    if isinstance(reply, Failed):
        raise _failure(reply)
    raise AgentError(f"the agent replied {reply!r:.80} where the report was expected")


def _failure(reply: Failed) -> AgentError:
    return AgentError(reply.message, code=reply.code, retry_after=reply.retry_after)
