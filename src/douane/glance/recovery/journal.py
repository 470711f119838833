"""The imports and uploads under way on this host, recorded so that those of a killed process can be found.

A file for each, in a folder of its own in Glance's staging folder, locked (flock(2)) while the process lives. If a
file is not locked, its process is gone. Only the standard library is imported, and ``durable``, which needs no more.
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

from douane.durable import sync_directory

FOLDER = ".douane"
_MAX_BYTES = 1 << 20

_entries: set[Entry] = set()
"""The open entries that this process has begun."""


class Entry:
    """The file of one import or upload, open and locked by this process; `facts` is its content."""

    def __init__(self, path: Path, fd: int, facts: Mapping[str, Any]) -> None:
        self.path = path
        self.facts: Mapping[str, Any] = facts
        self._fd = fd
        self._lock = threading.RLock()  # the garbage collector closes entries, too, in whatever thread it runs

    def add(self, facts: Mapping[str, Any]) -> None:
        """Add `facts` to the file, durably. Raises OSError."""
        self.facts = {**self.facts, **facts}
        text = json.dumps(self.facts).encode()
        os.pwrite(self._fd, text, 0)
        os.ftruncate(self._fd, len(text))
        os.fsync(self._fd)

    def close(self) -> None:
        """Delete the file: there is nothing to recover. Idempotent; raises nothing."""
        with self._lock:
            if self._fd < 0:
                return
            with contextlib.suppress(OSError):
                self.path.unlink()
            self.release()

    def release(self) -> None:
        """Unlock the file, and leave the recovery to the next process that looks. Idempotent."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
                _entries.discard(self)


def begin(staging: Path, name: str, facts: Mapping[str, Any]) -> Entry:
    """Record durably, under a unique `name`, that an import or upload is under way in this process. Raises OSError.

    `facts` are of JSON's types.
    """
    folder = staging / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / name
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # a process that looks for abandoned entries holds it for a moment
        os.pwrite(fd, json.dumps(dict(facts)).encode(), 0)
        os.fsync(fd)
        sync_directory(folder)
    except BaseException:
        os.close(fd)
        raise
    entry = Entry(path, fd, facts)
    _entries.add(entry)
    return entry


def own_entries() -> list[Entry]:
    """The entries that this process has begun, and neither closed nor released."""
    return list(_entries.copy())


def abandoned_entries(staging: Path) -> Iterator[Entry]:
    """The entries of processes that are gone, locked for the caller: close or release each. Raises OSError."""
    folder = staging / FOLDER
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    for name in names:
        entry = _lock_abandoned(folder / name)
        if entry is not None:
            yield entry


def _lock_abandoned(path: Path) -> Entry | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        facts = json.loads(os.pread(fd, _MAX_BYTES, 0))
        if isinstance(facts, dict) and _is_in_place(path, fd):
            return Entry(path, fd, facts)
    except (OSError, ValueError):  # its process lives, or is just writing it, or died while it did
        pass
    os.close(fd)
    return None


def _is_in_place(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(fd))
    except FileNotFoundError:
        return False
