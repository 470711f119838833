"""The image that a client hands over: a file, or a pipe whose end counts only if the client says so."""

from __future__ import annotations

import fcntl
import os
import select
import stat

from douane.engine import FileSource, SourceError, StreamSource
from douane.stream.ring import Ring
from douane.stream.sink import FileSink
from douane.stream.source import Source

from .protocol import Broken, Hangup, Line

END_SECONDS = 30.0
"""Between the end of the pipe and the line that says that it was the end."""


def check_image(fd: int) -> None:
    """Raises Broken unless `fd` can be read, and comes to an end: a regular file, or a pipe."""
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise Broken("the image is a regular file or a pipe, and nothing else")
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    if flags & os.O_PATH or flags & os.O_ACCMODE == os.O_WRONLY:
        raise Broken("the image was not opened for reading")


def check_result(fd: int, image: int) -> None:
    """Raises Broken unless `fd` is a regular file that can be written, and another one than `image`."""
    found = os.fstat(fd)
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    if not stat.S_ISREG(found.st_mode) or flags & os.O_PATH or flags & os.O_ACCMODE == os.O_RDONLY:
        raise Broken("the result goes into a regular file that is open for writing")
    if os.path.samestat(found, os.fstat(image)):
        raise Broken("the result would be written over the image while that is read")


def source_of(fd: int, name: str, size: int | None, line: Line) -> Source:
    """`fd` becomes the source's."""
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return FileSource(fd, name)
    return PipeSource(fd, name, size, line)


class PipeSource(StreamSource):
    """A pipe that another process fills."""

    def __init__(self, fd: int, name: str, size: int | None, line: Line) -> None:
        super().__init__(fd, name, size)
        self._line = line

    def pump(self, ring: Ring) -> None:
        """See :class:`Source`."""
        super().pump(ring)
        poll = select.poll()
        poll.register(self._line.socket, select.POLLIN)
        poll.register(ring.stop_fd, select.POLLIN)
        try:
            if poll.poll(END_SECONDS * 1000) and self._line.receive()[0] == {"do": "end"}:
                return
        except (Hangup, Broken):
            pass
        raise SourceError(f"{self.name} did not come to its end: whoever sent it gave up")


class HandedSink(FileSink):
    """A file of the client's that the result is written into."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, "the result")
