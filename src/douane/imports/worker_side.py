"""The worker's side of an inline run; see `inline_messages.py`."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
from collections.abc import Callable

from douane.errors import AgentError, SourceError
from douane.stream.connection import Connection, Hangup, close_received, convert
from douane.stream.ring import Ring
from douane.stream.source import StreamSource, pending_bytes

from .inline_messages import MAX_LINE_BYTES, Begun, Done, End, Ready, RunRequest
from .sender_pace import SenderPace

LINE_SECONDS = 5.0
"""How long a line of a door may take to come: it has what it sends at hand."""

END_SECONDS = 30.0
"""How long the line ``end`` may take after the pipe was closed."""


def accept_door(listener: socket.socket, worker: str) -> DoorConnection | None:
    """The request of a door that waits at `listener`, which does not block; None if there is none any more."""
    try:
        sock, _ = listener.accept()
    except OSError:  # another worker was faster, or the door went away
        return None
    connection = Connection(sock, patience=LINE_SECONDS, max_line_bytes=MAX_LINE_BYTES)
    try:
        connection.send(Ready(worker))
        fields, fds = connection.receive_fields()
        with contextlib.ExitStack() as unused:
            for fd in fds:
                unused.callback(close_received, fd)
            request: RunRequest = convert(fields, RunRequest)
            if len(fds) != 1 or not stat.S_ISFIFO(os.fstat(fds[0]).st_mode):
                raise AgentError("one pipe comes with the request, and nothing else")
            unused.pop_all()
            return DoorConnection(connection, request, fds[0])
    except (Hangup, AgentError):
        connection.close()
        return None


class DoorConnection:
    """A door that fills a pipe with the image of a task. Always close it."""

    def __init__(self, connection: Connection, request: RunRequest, pipe: int) -> None:
        self.task_id = request.task_id
        self.token = request.token
        self._connection = connection
        self._pipe = pipe

    def begin(self) -> None:
        """The task is claimed. A door that is gone is noticed when the pipe ends."""
        with contextlib.suppress(Hangup):
            self._connection.send(Begun())

    def upload(self, name: str, size: int | None, pace: SenderPace) -> SentUpload:
        """The image in the pipe; `size` as it was announced, if it was."""

        def source() -> SentImage:
            pipe, self._pipe = self._pipe, -1
            return SentImage(pipe, name, size, self._connection)

        return SentUpload(source, pace)

    def end(self, done: Done) -> None:
        """Tell the door how the attempt ended."""
        with contextlib.suppress(Hangup):
            self._connection.send(done)

    def close(self) -> None:
        """Close the pipe, if no source has it, and the connection. Idempotent."""
        pipe, self._pipe = self._pipe, -1
        if pipe >= 0:
            os.close(pipe)
        self._connection.close()


class SentUpload:
    """An upload that comes as it is run. `source` may be called once: the source owns the pipe then."""

    def __init__(self, make_source: Callable[[], SentImage], pace: SenderPace) -> None:
        self._make_source = make_source
        self._pace = pace
        self._source: SentImage | None = None

    def source(self) -> SentImage:
        """The image."""
        self._source = self._make_source()
        return self._source

    def watch(self, received: int, _total: int | None) -> None:
        """The progress of the run. Raises SourceError if the sender is too slow."""
        if self._source is not None:
            self._pace.observe(received, is_idle=self._source.is_idle())


class SentImage(StreamSource):
    """The pipe that a door fills. Its end counts only if the door then says that the image is complete."""

    def __init__(self, fd: int, name: str, size: int | None, connection: Connection) -> None:
        super().__init__(fd, name, size)
        self._connection = connection

    def is_idle(self) -> bool:
        """True if the pipe is empty. For the thread of the run, which closes the source afterwards."""
        return pending_bytes(self._fd) == 0

    def pump(self, ring: Ring) -> None:
        """See :class:`Source`. Raises SourceError if the sender gave up."""
        try:
            super().pump(ring)
        except SourceError as error:
            if error.code == "truncated":  # cut off, rather than announced wrongly: the sender would have said the end
                self._require_end(ring)
            raise
        self._require_end(ring)

    def _require_end(self, ring: Ring) -> None:
        poll = select.poll()
        poll.register(self._connection.socket, select.POLLIN)
        poll.register(ring.stop_fd, select.POLLIN)
        try:
            if self._connection.socket.fileno() in {fd for fd, _ in poll.poll(END_SECONDS * 1000)}:
                self._connection.receive(End)
                return
        except (Hangup, AgentError):
            pass
        raise SourceError(f"{self.name} is incomplete: its sender gave up", code="truncated")
