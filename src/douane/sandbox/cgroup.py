"""The cgroup of one cage: a leaf below a base that was delegated to Douane (see `delegation`).

Of cgroup v2 alone (the kernel's Documentation/admin-guide/cgroup-v2.rst). It bounds what limits of processes cannot:
the memory and the tasks of the whole cage, and it ends whatever is in it at one blow.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import select
import time
from dataclasses import dataclass
from pathlib import Path

from .cage import Bounds, MiB

_CAGE = "douane-cage-"
_ALLOWANCE = 128 * MiB
"""On top of the plugin's memory: mapped libraries, and pages of a ring that nobody had written yet, which are charged
to whoever touches them first. Above what the engine allows when it measures, so the engine is first to say so."""

_HELPERS = 2
"""Tasks that are not the plugin's: the keeper, and one for the moment in which it forks."""

_EMPTY_WITHIN_S = 10
_POLL_MS = 20
_ATTEMPTS = 8
_numbers = itertools.count(1)

MEMORY_WITHOUT = "memory by RLIMIT_DATA for each process, and measured for the tree"
TASKS_WITHOUT = "threads and processes by RLIMIT_NPROC"


class Leaf:
    """The cgroup of one cage, locked (flock(2)) as long as its engine lives."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._lock = lock
        self.memory = self.tasks = False
        """The bound is kept by this cgroup."""

    def bound(self, bounds: Bounds, *, programs: bool) -> None:
        """Set memory.max and pids.max, each as far as the file is there and takes it."""
        tasks = bounds.threads + (bounds.processes if programs else 0) + _HELPERS
        self.memory = self._set("memory.max", bounds.memory + _ALLOWANCE)
        self._set("memory.swap.max", 0)  # not there without swap accounting
        self._set("memory.oom.group", 1)  # a cage that lost one process at random would be no witness any more
        self.tasks = self._set("pids.max", tasks)

    def kept(self) -> str:
        """Which bound is kept by what, for a person."""
        memory = "memory of the whole cage by memory.max" if self.memory else MEMORY_WITHOUT
        tasks = "its threads and processes by pids.max" if self.tasks else TASKS_WITHOUT
        killed = (self.folder / "cgroup.kill").exists()
        return f"{memory}; {tasks}; " + ("its end by cgroup.kill" if killed else "no cgroup.kill before Linux 5.14")

    def add(self, pid: int) -> None:
        """Move the process `pid` here. Raises OSError."""
        write(self.folder / "cgroup.procs", str(pid))

    def kill(self) -> None:
        """Kill every process in it, those being forked included, where the kernel knows how (Linux 5.14)."""
        self._set("cgroup.kill", 1)

    def close(self) -> None:
        """Kill what is left in it, remove it, and let the lock go. Waits while it empties, at most 10 s."""
        self.kill()
        _remove(self.folder)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _set(self, name: str, value: int) -> bool:
        try:
            write(self.folder / name, str(value))
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class Base:
    """A delegated cgroup, in which leaves can be made."""

    folder: Path

    def leaf(self, bounds: Bounds, *, programs: bool) -> Leaf:
        """A new leaf with these bounds. Raises OSError."""
        for _ in range(_ATTEMPTS):
            folder = self.folder / f"{_CAGE}{os.getpid()}-{next(_numbers)}"
            with contextlib.suppress(FileExistsError, FileNotFoundError, BlockingIOError):
                os.mkdir(folder, 0o755)
                # An engine that clears up may have been faster, and taken it for a dead one's: then it is gone, or
                # locked. With the lock in our hands it stays if it is there.
                lock = _locked(folder)
                if folder.exists():
                    leaf = Leaf(folder, lock)
                    leaf.bound(bounds, programs=programs)
                    return leaf
                os.close(lock)
        raise OSError(errno.EBUSY, f"no cgroup could be made in {self.folder}")

    def clear(self) -> None:
        """Remove the leaves whose engine has ended without doing so, with all that is in them."""
        with contextlib.suppress(OSError):
            for folder in sorted(self.folder.glob(_CAGE + "*")):
                with contextlib.suppress(OSError):  # its engine lives, or another clears up
                    Leaf(folder, _locked(folder)).close()


def write(path: Path, text: str) -> None:
    """Write a file of a cgroup: in one go, and never make one that the kernel does not have. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _locked(folder: Path) -> int:
    """A descriptor of `folder`, locked. Raises BlockingIOError if somebody else has locked it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def _remove(folder: Path) -> None:
    """rmdir, again while processes in it are still ending; what stays is removed by the next engine."""
    end = time.monotonic() + _EMPTY_WITHIN_S
    while True:
        try:
            os.rmdir(folder)
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() >= end:
                return
        watch = select.poll()
        with contextlib.suppress(OSError), open(folder / "cgroup.events") as events:
            if "populated 1" in events.read():
                watch.register(events, select.POLLPRI)
            watch.poll(_POLL_MS)  # empty and still busy: it is the kernel that has not finished
