"""Processes that the supervisor keeps running: they are started again when they die, within bounds."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
import socket
import subprocess
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from douane.errors import DouaneError

log = logging.getLogger("douane.serve")

RESTARTS = 5
"""So many times in `RESTART_SECONDS` a process is started again; one that dies more often would never work."""
RESTART_SECONDS = 60.0
START_SECONDS = 40.0
"""How much later than others the first sign of life may come: a busy machine takes its time to start a process."""


class Command(NamedTuple):
    """A command line, the descriptors that the process inherits, and those that the supervisor closes then."""

    arguments: Sequence[str]
    fds: tuple[int, ...]
    parent_fds: tuple[int, ...] = ()


class Child:
    """One process. `command` is called at each start."""

    def __init__(self, name: str, command: Callable[[], Command]) -> None:
        self.name = name
        self._command = command
        self._starts: deque[float] = deque(maxlen=RESTARTS + 1)
        self._process: subprocess.Popen[bytes] | None = None
        self.pidfd = -1
        """Readable when the process has ended; -1 without a process."""

    @property
    def pid(self) -> int | None:
        """The process id; None without a process."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process. Raises DouaneError if it died too often."""
        now = time.monotonic()
        if len(self._starts) > RESTARTS and now - self._starts[0] < RESTART_SECONDS:
            raise DouaneError(
                f"{self.name} ended {RESTARTS} times within {RESTART_SECONDS:.0f} seconds; its messages above say why"
            )
        self._starts.append(now)
        command = self._command()
        # A session of its own: Ctrl-C in a terminal is for the supervisor, who ends the others in their order. And the
        # kernel divides the processors among sessions: the door's does not pay for what the workers take.
        self._process = subprocess.Popen(
            command.arguments, pass_fds=command.fds, stdin=subprocess.DEVNULL, start_new_session=True
        )
        for fd in command.parent_fds:
            os.close(fd)
        self.pidfd = os.pidfd_open(self._process.pid)
        log.info("%s started as process %d", self.name, self._process.pid)

    def reap(self) -> int | None:
        """The exit code if the process has ended, which is forgotten then; None while it runs."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        self._process = None
        os.close(self.pidfd)
        self.pidfd = -1
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if there is one."""
        if self._process is not None:
            self._process.send_signal(number)


_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def group_of(home: Path) -> str:
    """How the names of the processes begin that serve this home on this host, since it was started.

    Whoever takes the home ends the leases of all such names. Machines that were copied from each other have the same
    host name and the same paths, so it has what only one machine has: the number that the kernel made at its start.
    """
    started = _BOOT_ID.read_bytes()
    status = home.stat()
    place = b"\0".join((started, f"{status.st_dev}:{status.st_ino}".encode(), os.fsencode(home.resolve())))
    return f"{socket.gethostname()}-{hashlib.sha256(place).hexdigest()[:12]}-"


class NamedChild(Child):
    """A door or a worker. Each process has a name of its own, by which its leases are released when it is gone; it
    begins with `group`. `command` is called with that name, and the pipe in which the process gives signs of life."""

    def __init__(
        self, name: str, group: str, command: Callable[[str, int], Command], release: Callable[[str], None]
    ) -> None:
        super().__init__(name, self._named)
        self.beat_fd = -1
        """Readable when the process gave a sign of life; -1 without a process."""

        self.beaten_at = 0.0
        self._group = group
        self._make_command = command
        self._release = release
        self._process_name = ""

    def _named(self) -> Command:
        self._process_name = f"{self._group}{uuid.uuid4()}"
        self.beat_fd, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.beaten_at = time.monotonic() + START_SECONDS
        command = self._make_command(self._process_name, write_end)
        return Command(command.arguments, (*command.fds, write_end), parent_fds=(*command.parent_fds, write_end))

    def take_beats(self, _fd: int) -> None:
        """Read the signs of life that wait."""
        with contextlib.suppress(BlockingIOError):
            if os.read(self.beat_fd, 4096):
                self.beaten_at = time.monotonic()
            else:
                self._forget_beats()

    def kill_if_silent(self, seconds: float) -> None:
        """Kill a process that has given no sign of life for so long: it may hold what all others wait for."""
        silent = time.monotonic() - self.beaten_at
        if self.pid is not None and silent > seconds:
            log.error(
                "%s (process %d) gave no sign of life for %.0f seconds: it is killed", self.name, self.pid, silent
            )
            self.beaten_at = time.monotonic()
            self.send(signal.SIGKILL)

    def _forget_beats(self) -> None:
        if self.beat_fd >= 0:
            os.close(self.beat_fd)
            self.beat_fd = -1

    def reap(self) -> int | None:
        """See :meth:`Child.reap`."""
        code = super().reap()
        if code is not None:
            self._forget_beats()
            self._release(self._process_name)
        return code
