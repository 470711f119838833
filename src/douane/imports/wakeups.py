"""What wakes an idle worker: a door, a new task, a signal, the end of the supervisor."""

from __future__ import annotations

import os
import select
import socket

from douane.catalog.waking import TaskListener

from .worker_spec import WorkerSpec


class Wakeups:
    """The descriptors on which a worker waits."""

    def __init__(self, spec: WorkerSpec, listener: TaskListener | None) -> None:
        self.doors = _inherited(spec.listen_fd)
        """Accepts doors that bring an upload; None: there is no door on this machine."""

        self.signals, self.signal_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._wake = _inherited(spec.wake_fd)
        self._life = spec.life_fd
        self._listener = listener
        self.may_have_task = True
        """Since this was set to False, something has said that a task may wait."""

    @property
    def is_told_of_tasks(self) -> bool:
        """True while the database says of each task that it waits."""
        return self._listener is not None and self._listener.is_listening

    @property
    def is_alone(self) -> bool:
        """True if the supervisor is gone."""
        return self._life is not None and bool(_ready([self._life], 0))

    @property
    def has_door(self) -> bool:
        """True if a door waits."""
        return self.doors is not None and bool(_ready([self.doors.fileno()], 0))

    def wait(self, seconds: float, *, accepts: bool = True) -> None:
        """Wait for a signal or the supervisor's end, and if the worker `accepts` work, for work."""
        work = [sock.fileno() for sock in (self.doors, self._wake) if sock is not None]
        if self._listener is not None:
            work.append(self._listener.fd)
        always = [self.signals, *([] if self._life is None else [self._life])]
        ready = _ready([*always, *(work if accepts else [])], seconds)
        if self._wake is not None and self._wake.fileno() in ready:
            _drain(self._wake)
            self.may_have_task = True
        if self._listener is not None and self._listener.fd in ready:
            self._listener.drain()
            self.may_have_task = True
        if self.signals in ready:
            os.read(self.signals, 512)


def _ready(fds: list[int], seconds: float) -> set[int]:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _ in poll.poll(seconds * 1000)}


def _inherited(fd: int | None) -> socket.socket | None:
    if fd is None:
        return None
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return sock


def _drain(wake: socket.socket) -> None:
    """Take one wake-up; others are for other workers."""
    try:
        wake.recv(64)
    except OSError:  # another worker was faster
        return
