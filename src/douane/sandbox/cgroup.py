"""The cgroup of one sandbox: a leaf below a base that was delegated to Douane (see `cgroup_delegation`).

cgroup v2 only (the kernel's Documentation/admin-guide/cgroup-v2.rst). A cgroup bounds what process limits cannot: the
memory and the tasks of the whole sandbox. It also ends all of its processes at once.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import select
import time

import msgspec

from .spec import Bounds, MiB

_PREFIX = "douane-cage-"
_ALLOWANCE = 128 * MiB
"""Added to the plugin's memory: mapped libraries, and pages of the ring that the plugin touches first, which are
charged to it. More than the engine's own allowance, so that the engine reports an excess first."""

_HELPERS = 2
"""Tasks that are not the plugin's: the keeper, and its child for the moment of the fork."""

_EMPTY_WITHIN_S = 10
_POLL_MS = 20
_ATTEMPTS = 8
_numbers = itertools.count(1)

MEMORY_WITHOUT = "memory by RLIMIT_DATA for each process, and measured for the tree"
TASKS_WITHOUT = "threads and processes by RLIMIT_NPROC"


class Leaf:
    """The cgroup of one sandbox, locked (flock(2)) as long as its engine lives."""

    def __init__(self, folder: str, lock: int) -> None:
        self.folder = folder
        self._lock = lock
        self.memory = self.tasks = False
        """This cgroup enforces the bound."""

    def bound(self, bounds: Bounds, *, forks: bool) -> None:
        """Set memory.max and pids.max, if the kernel has them and accepts the values."""
        tasks = bounds.threads + (bounds.processes if forks else 0) + _HELPERS
        self.memory = self._set("memory.max", bounds.memory + bounds.temporary_bytes + _ALLOWANCE)
        self._set("memory.swap.max", 0)  # missing without swap accounting
        self._set("memory.oom.group", 1)  # a sandbox that lost a random process could not be trusted
        self.tasks = self._set("pids.max", tasks)

    def enforced(self) -> str:
        """What enforces each bound, for a person."""
        memory = "memory of the whole sandbox by memory.max" if self.memory else MEMORY_WITHOUT
        tasks = "its threads and processes by pids.max" if self.tasks else TASKS_WITHOUT
        killed = os.path.exists(f"{self.folder}/cgroup.kill")
        return f"{memory}; {tasks}; " + ("its end by cgroup.kill" if killed else "no cgroup.kill before Linux 5.14")

    def add(self, pid: int) -> None:
        """Move the process `pid` into this cgroup. Raises OSError."""
        write(f"{self.folder}/cgroup.procs", str(pid))

    def kill(self) -> None:
        """Kill every process in it, including those being forked (since Linux 5.14)."""
        self._set("cgroup.kill", 1)

    def close(self) -> None:
        """Kill the remaining processes, wait at most 10 s for their end, remove the cgroup and unlock it."""
        self.kill()
        _remove(self.folder)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _set(self, name: str, value: int) -> bool:
        try:
            write(f"{self.folder}/{name}", str(value))
        except OSError:
            return False
        return True


class Base(msgspec.Struct, frozen=True):
    """A delegated cgroup, in which leaves can be created."""

    folder: str

    def leaf(self, bounds: Bounds, *, forks: bool) -> Leaf:
        """A new leaf with these bounds. Raises OSError."""
        for _ in range(_ATTEMPTS):
            folder = f"{self.folder}/{_PREFIX}{os.getpid()}-{next(_numbers)}"
            with contextlib.suppress(FileExistsError, FileNotFoundError, BlockingIOError):
                os.mkdir(folder, 0o755)
                # Another engine that clears up may have been faster and taken the folder for a dead engine's; then
                # the folder is gone or locked. A folder that exists once we hold the lock stays.
                lock = _locked(folder)
                if os.path.exists(folder):
                    leaf = Leaf(folder, lock)
                    leaf.bound(bounds, forks=forks)
                    return leaf
                os.close(lock)
        raise OSError(errno.EBUSY, f"no cgroup could be created in {self.folder}")

    def clear(self) -> None:
        """Kill and remove the leaves of engines that ended without doing so."""
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(self.folder)):
                if name.startswith(_PREFIX):
                    folder = f"{self.folder}/{name}"
                    with contextlib.suppress(OSError):  # the engine lives, or another engine clears up
                        Leaf(folder, _locked(folder)).close()


def write(path: str, text: str) -> None:
    """Write a file of a cgroup in one call, without creating a missing file. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _locked(folder: str) -> int:
    """A locked descriptor of `folder`. Raises BlockingIOError if another process holds the lock."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def _remove(folder: str) -> None:
    """Remove `folder`; retry while its processes end. The next engine removes a folder that remains."""
    end = time.monotonic() + _EMPTY_WITHIN_S
    while True:
        try:
            os.rmdir(folder)
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() >= end:
                return
        watch = select.poll()
        with contextlib.suppress(OSError), open(f"{folder}/cgroup.events") as events:
            if "populated 1" in events.read():
                watch.register(events, select.POLLPRI)
            watch.poll(_POLL_MS)  # empty but busy: the kernel has not finished
