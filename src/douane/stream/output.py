"""The sink for standard output: bytes in order, holes as zeros, and an end when nobody reads."""

from __future__ import annotations

import contextlib
import os
import select
import stat

from douane.errors import SinkError

ZEROS = bytes(64 << 10)
PIECE_BYTES = 4096
"""What a pipe takes without waiting when poll(2) calls it ready (pipe(7), PIPE_BUF)."""


class Output:
    """A sink for a descriptor that is written once, in order: a pipe, a terminal, a file, a socket.

    A reader that does not read holds up the run. It does not hold up its end: after :meth:`stop` a write that waits
    ends at once.
    """

    fd = None

    def __init__(self, fd: int, name: str = "standard output") -> None:
        self.name = name
        self.position = 0
        """Bytes that were written."""

        self._stop_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._fd, self._waits = _never_waiting(fd)

    def write(self, view: memoryview, offset: int) -> None:
        """See :class:`~douane.stream.sink.Sink`."""
        self._fill_up(offset)
        self._put(view)

    def open_read(self) -> None:
        """None: what was written is gone."""

    def finish(self, size: int) -> None:
        """See :class:`~douane.stream.sink.Sink`."""
        self._fill_up(size)

    def explain(self, error: OSError) -> SinkError:
        """See :class:`~douane.stream.sink.Sink`."""
        if isinstance(error, BrokenPipeError):
            return SinkError(f"whoever read {self.name} has gone", code="output-closed")
        return SinkError(f"{self.name} cannot be written: {error.strerror}", code="output-failed")

    def stop(self) -> None:
        """End a write that waits. For another thread."""
        os.eventfd_write(self._stop_fd, 1)

    def close(self) -> None:
        """Give the descriptors up, when no thread writes."""
        os.close(self._fd)
        os.close(self._stop_fd)

    def _fill_up(self, offset: int) -> None:
        while self.position < offset:
            self._put(memoryview(ZEROS)[: offset - self.position])

    def _put(self, view: memoryview) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        poll.register(self._stop_fd, select.POLLIN)
        written = 0
        try:
            while written < len(view):
                if self._stop_fd in {fd for fd, _ in poll.poll()}:
                    raise SinkError(f"{self.name} was not written to its end", code="output-failed")
                end = written + PIECE_BYTES if self._waits else len(view)
                with contextlib.suppress(BlockingIOError), view[written:end] as piece:
                    count = os.write(self._fd, piece)
                    written += count
                    self.position += count
        except OSError as error:
            raise self.explain(error) from error


def _never_waiting(fd: int) -> tuple[int, bool]:
    """A descriptor of the same pipe or terminal whose writes do not wait, or a copy of `fd`; and whether they wait.

    Not O_NONBLOCK on `fd`: other processes have the same open file, such as the shell, and would be surprised.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        with contextlib.suppress(OSError):  # another user's terminal; then in pieces that do not wait
            return os.open(f"/proc/self/fd/{fd}", flags), False
    return os.dup(fd), not stat.S_ISREG(mode)
