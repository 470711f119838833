"""The descriptors that a client hands over: its image, and the file for the result."""

from __future__ import annotations

import fcntl
import os
import select
import stat

from douane.engine import FileSource, StreamSource
from douane.errors import AgentError, SourceError
from douane.stream.ring import Ring
from douane.stream.source import Source

from .protocol import Connection, End, Hangup

END_SECONDS = 30.0
"""How long the line ``end`` may take after the pipe was closed."""


def check_image(fd: int) -> None:
    """Raise AgentError unless `fd` can be read and has an end: a regular file, or a pipe."""
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise AgentError("the image is a regular file or a pipe, and nothing else")
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    if flags & os.O_PATH or flags & os.O_ACCMODE == os.O_WRONLY:
        raise AgentError("the image was not opened for reading")


def check_result(fd: int, image: int) -> None:
    """Raise AgentError unless `fd` is a regular file that can be written, and another than `image`."""
    status = os.fstat(fd)
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    if not stat.S_ISREG(status.st_mode) or flags & os.O_PATH or flags & os.O_ACCMODE == os.O_RDONLY:
        raise AgentError("the result goes into a regular file that is open for writing")
    if os.path.samestat(status, os.fstat(image)):
        raise AgentError("the result would overwrite the image while the image is read")


def image_source(fd: int, name: str, size: int | None, connection: Connection) -> Source:
    """The source for the image `fd`, which the source closes."""
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return FileSource(fd, name)
    return PipeSource(fd, name, size, connection)


class PipeSource(StreamSource):
    """A pipe that the client fills. Its end counts only if the client then says that the image is complete."""

    def __init__(self, fd: int, name: str, size: int | None, connection: Connection) -> None:
        super().__init__(fd, name, size)
        self._connection = connection

    def pump(self, ring: Ring) -> None:
        """See :class:`Source`."""
        super().pump(ring)
        poll = select.poll()
        poll.register(self._connection.socket, select.POLLIN)
        poll.register(ring.stop_fd, select.POLLIN)
        try:
            ready = {fd for fd, _ in poll.poll(END_SECONDS * 1000)}
            if self._connection.socket.fileno() in ready:
                self._connection.receive(End)
                return
        except (Hangup, AgentError):
            pass
        raise SourceError(f"{self.name} is incomplete: its sender gave up")
