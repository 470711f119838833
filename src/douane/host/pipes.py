"""The standard output and error of a plugin's process, and the rate at which anything of a process is read."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
from collections.abc import Callable

from douane.units import MiB

from .log import BYTES_A_TICK, PluginLog
from .loop import Loop

READ_BYTES = 1 << 16


def open_large_pipe() -> tuple[int, int]:
    """A pipe for an image, as large as an unprivileged user may make one: its read end and its write end."""
    read, write = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # over the user's limit for pipes: slower, not wrong
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, MiB)
    return read, write


class RateLimit:
    """Leaves a descriptor alone until the next tick when more was read in this tick than is allowed."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._allowance = BYTES_A_TICK
        self._paused: dict[int, Callable[[], None]] = {}

    def charge(self, size: int, fd: int, callback: Callable[[], None]) -> None:
        """Count `size` bytes of `fd`, whose callback in the loop is `callback`."""
        self._allowance -= size
        if self._allowance < 0:
            self._paused[fd] = callback
            self._loop.forget(fd)

    def refill(self) -> None:
        """A tick has begun: watch all descriptors again."""
        self._allowance = BYTES_A_TICK
        for fd, callback in self._paused.items():
            self._loop.watch(fd, callback)
        self._paused.clear()

    def drop(self, fd: int) -> None:
        """Forget `fd`, which is about to be closed or is at its end."""
        self._paused.pop(fd, None)
        self._loop.forget(fd)


class OutputPipes:
    """Reads stdout and stderr into the plugin's log."""

    def __init__(self, loop: Loop, log: PluginLog, rate: RateLimit) -> None:
        self._loop = loop
        self._log = log
        self._rate = rate
        self._fds: dict[str, int] = {}

    def open(self) -> tuple[int, int]:
        """Make the pipes; the ends that the process writes, stdout and stderr, are the caller's to close."""
        self._fds["stdout"], stdout = os.pipe2(os.O_CLOEXEC)
        try:
            self._fds["stderr"], stderr = os.pipe2(os.O_CLOEXEC)
        except BaseException:
            os.close(stdout)
            raise
        for fd in self._fds.values():
            os.set_blocking(fd, False)
        return stdout, stderr

    def adopt(self, fds: dict[str, int]) -> None:
        """Take over the pipes of a process that runs already."""
        self._fds = dict(fds)

    def give_up(self) -> dict[str, int]:
        """Read once more, and leave the pipes, whose process runs on, to the caller."""
        for name, fd in self._fds.items():
            self._rate.drop(fd)
            with contextlib.suppress(BlockingIOError):
                self._log.stream(name, os.read(fd, READ_BYTES))
        fds, self._fds = self._fds, {}
        self._log.close()
        return fds

    def watch(self) -> None:
        """Have the loop read the pipes."""
        for name, fd in self._fds.items():
            self._loop.watch(fd, functools.partial(self._read, name))

    def _read(self, name: str) -> None:
        fd = self._fds.get(name)
        if fd is None:
            return
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._loop.forget(fd)
            return
        full = self._log.is_full
        self._log.stream(name, data)
        # A dropped line costs little more than its reading; a program that prints much is no slower for it.
        self._rate.charge(len(data) // 64 if full else len(data), fd, functools.partial(self._read, name))

    def drain(self) -> None:
        """Read the remaining output of the ended process."""
        for name, fd in self._fds.items():
            with contextlib.suppress(BlockingIOError):
                while data := os.read(fd, READ_BYTES):
                    self._log.stream(name, data)

    def close(self) -> None:
        """Read once more and close the pipes. Idempotent."""
        for name, fd in self._fds.items():
            self._rate.drop(fd)
            with contextlib.suppress(BlockingIOError):
                if data := os.read(fd, READ_BYTES):
                    self._log.stream(name, data)
            os.close(fd)
        self._fds.clear()
