"""Which imports and uploads are under way on this host: so that those of a process that was killed can be found.

A file for each, in a folder of its own in Glance's staging folder, locked (flock(2)) for as long as the process
lives. A file that nobody has locked is of a process that is gone. Only the standard library is imported here.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = ".douane"
_MOST_BYTES = 1 << 20


_open: set[Entry] = set()
"""Those that this process has begun."""


class Entry:
    """The file of one, open and locked by this process; `facts` is what is written in it."""

    def __init__(self, path: Path, fd: int, facts: Mapping[str, Any]) -> None:
        self.path = path
        self.facts: Mapping[str, Any] = facts
        self._fd = fd
        self._lock = threading.RLock()  # the garbage collector ends entries, too, in whatever thread it runs

    def note(self, facts: Mapping[str, Any]) -> None:
        """Write down `facts`, durably, beside what is there. Raises OSError."""
        self.facts = {**self.facts, **facts}
        text = json.dumps(self.facts).encode()
        os.pwrite(self._fd, text, 0)
        os.ftruncate(self._fd, len(text))
        os.fsync(self._fd)

    def end(self) -> None:
        """It is over: nothing has to be set right. Idempotent; raises nothing."""
        with self._lock:
            if self._fd < 0:
                return
            with contextlib.suppress(OSError):
                self.path.unlink()
            self.leave()

    def leave(self) -> None:
        """Unlock it, and let whoever looks next set right what it is about. Idempotent."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
                _open.discard(self)


def begin(staging: str, task: str, facts: Mapping[str, Any]) -> Entry:
    """Write down, durably, that the import `task` (or an upload) is under way in this process. Raises OSError.

    `facts` are of JSON's types.
    """
    folder = Path(staging) / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / task
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # whoever looks holds it for a moment
        os.pwrite(fd, json.dumps(dict(facts)).encode(), 0)
        os.fsync(fd)
        _sync(folder)
    except BaseException:
        os.close(fd)
        raise
    entry = Entry(path, fd, facts)
    _open.add(entry)
    return entry


def of_this_process() -> list[Entry]:
    """Entries that were begun here, and are neither ended nor left."""
    return list(_open.copy())


def left(staging: str) -> Iterator[Entry]:
    """Entries of processes that are gone, locked for whoever looks: end or leave each. Raises OSError."""
    folder = Path(staging) / FOLDER
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    for name in names:
        entry = _take(folder / name)
        if entry is not None:
            yield entry


def _take(path: Path) -> Entry | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        facts = json.loads(os.pread(fd, _MOST_BYTES, 0))
        if isinstance(facts, dict) and _leads_to(path, fd):
            return Entry(path, fd, facts)
    except (OSError, ValueError):  # its process lives; or is just writing it; or died when it did
        pass
    os.close(fd)
    return None


def _leads_to(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
