"""A folder on the disk that one plugin may write to: its /tmp where a tmpfs cannot be had, or is too small.

The kernel bounds each file (RLIMIT_FSIZE), and the engine measures the whole. It cannot measure files that have no name
any more: whoever looks for them in /proc needs CAP_SYS_PTRACE, which root in a container lacks, and a mapping does not
tell how long its file is. Taking names away must work, though: databases do it to commit. So a last bound is the room
on the file system, and the host's memory if the folder is there: a plugin ends when that gets scarce and more room has
gone than the plugin may take.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import stat
import time

import msgspec

from douane.errors import SandboxError

from .spec import Bounds
from .tree_removal import remove_tree
from .user import is_fresh

_PREFIX = "douane-plugin-"
RESERVE_BYTES = 1 << 30
RESERVE_SHARE = 20
"""A file system is short of room with less than this, or less than one part of so many."""

_REST = 9
"""Pause after each measurement, as a multiple of its time: a tenth of one processor at the most."""

_MAX_DEPTH = 32
"""Levels of folders. A deeper tree counts as too many files."""

_ATTEMPTS = 3
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CANDIDATES = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  # a folder of our own is made in one of them


class FolderUsage(msgspec.Struct, frozen=True):
    """The contents of a private folder now."""

    bytes: int
    files: int
    is_disk_short: bool = False
    """Little room is left on the file system, and more than the folder's bound has gone since the folder was made."""

    is_over: bool = False
    """It has more than its bounds allow, or the disk is short."""


class PrivateFolder:
    """A folder of the user `uid` (None: of this user), locked (flock(2)) as long as its engine lives.

    `is_mounted`: the plugin sees it at another path, so its user need not be able to reach this one.
    Raises SandboxError if the folder cannot be made.
    """

    def __init__(self, uid: int | None, bounds: Bounds, *, is_mounted: bool) -> None:
        self._bytes, self._files = bounds.temporary_bytes, bounds.temporary_files
        self._last, self._next = FolderUsage(0, 0), 0.0
        parent = _parent(uid is None or is_mounted)
        if not os.path.isdir(parent):  # a cleaner of temporary files has removed it since
            forget()
            parent = _parent(uid is None or is_mounted)
        _clear(parent)
        try:
            self.path, self._fd = _make(parent)
            if uid is not None:
                os.fchown(self._fd, uid, uid)
            self._room = _room(self._fd)
            self._is_in_memory = _is_in_memory(os.fstat(self._fd).st_dev)
        except OSError as error:
            raise SandboxError(
                f"no folder for temporary files can be made in {parent}: {error.strerror}; set TMPDIR to another folder"
            ) from error

    def used(self) -> FolderUsage:
        """Measure the folder, up to a little more than its bound of files. A folder that cannot be read counts as
        full. If measuring takes long, it is done less often, and the last result is returned meanwhile."""
        if time.monotonic() < self._next:
            return self._last
        begin = time.monotonic()
        usage = _Usage(self._files)
        try:
            usage.add(self._fd, 0)
        except OSError:
            usage.files = self._files + 1
        room = _room(self._fd)
        is_short = room.is_short or (self._is_in_memory and _memory().is_short)
        is_short &= self._room.free - room.free > self._bytes
        is_over = is_short or usage.bytes > self._bytes or usage.files > self._files
        self._last = FolderUsage(usage.bytes, usage.files, is_short, is_over)
        self._next = time.monotonic() + _REST * (time.monotonic() - begin)
        return self._last

    def close(self) -> None:
        """Remove the folder with everything in it. Idempotent. Call it when the plugin's processes have ended."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # the next engine tries again
                remove_tree(self.path, self._fd)
            os.close(self._fd)
            self._fd = -1


class _Room(msgspec.Struct, frozen=True):
    """Bytes on a file system that users can take, and those of them that should stay free."""

    free: int
    reserve: int

    @property
    def is_short(self) -> bool:
        """Less is free than should be."""
        return self.free < self.reserve


def _room(fd: int) -> _Room:
    status = os.fstatvfs(fd)
    return _with_reserve(status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize)


def _with_reserve(free: int, size: int) -> _Room:
    return _Room(free, min(RESERVE_BYTES, size // RESERVE_SHARE))


def _memory() -> _Room:
    """The same of the host's memory."""
    kibibytes = {}
    with open("/proc/meminfo") as file:
        for line in file:
            name, _, amount = line.partition(":")
            kibibytes[name] = int(amount.split()[0])
    return _with_reserve(kibibytes["MemAvailable"] * 1024, kibibytes["MemTotal"] * 1024)


@functools.cache
def _is_in_memory(device: int) -> bool:
    """True if the file system `device` is a tmpfs: half of the memory by default, and files without a name fill it."""
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo") as file:
        mounts = [line.partition(" - ") for line in file]
    return any(mount.split()[2] == number and rest.startswith("tmpfs ") for mount, _, rest in mounts)


class _Usage:
    def __init__(self, most_files: int) -> None:
        self.bytes = self.files = 0
        self._most_files = most_files

    def add(self, folder: int, depth: int) -> None:
        """Add the contents of the folder with the descriptor `folder`, which the plugin changes meanwhile."""
        with os.scandir(folder) as entries:
            for entry in entries:
                if self.files > self._most_files:
                    return
                self.files += 1
                try:
                    status = entry.stat(follow_symlinks=False)
                    self.bytes += status.st_blocks * 512
                    if stat.S_ISDIR(status.st_mode):
                        self._add_below(folder, entry.name, depth)
                except FileNotFoundError:
                    continue
                except OSError:
                    self.files = self._most_files + 1

    def _add_below(self, folder: int, name: str, depth: int) -> None:
        if depth == _MAX_DEPTH:
            self.files = self._most_files + 1
            return
        below = os.open(name, _FOLDER, dir_fd=folder)
        try:
            self.add(below, depth + 1)
        finally:
            os.close(below)


def places() -> tuple[str, ...]:
    """The folders in which private folders may be."""
    return tuple(dict.fromkeys(os.path.realpath(folder) for folder in _places() if os.path.isdir(folder)))


def is_private_folder(path: str) -> bool:
    """True for the private folder of a plugin, and for what is in it."""
    return any(part.startswith(_PREFIX) for part in path.split("/"))


def forget() -> None:
    """Look again for a place for the folders, and for abandoned ones there."""
    _parent.cache_clear()
    _clear.cache_clear()


@functools.cache
def _parent(is_private: bool) -> str:
    """The first folder in which a folder can be made: TMPDIR, or the system's; every user can reach it, unless
    `is_private`."""
    for folder in _places():
        if os.access(folder, os.W_OK | os.X_OK) and (is_private or _is_reachable(folder)):
            return os.path.realpath(folder)
    raise SandboxError("no folder for temporary files can be used: set TMPDIR to one that every user can enter")


def _places() -> tuple[str, ...]:
    return tuple(folder for folder in (os.environ.get("TMPDIR", ""), *_CANDIDATES) if os.path.isabs(folder))


def _is_reachable(folder: str) -> bool:
    path = os.path.realpath(folder)
    while True:
        if not os.stat(path).st_mode & stat.S_IXOTH:
            return False
        if path == "/":
            return True
        path = os.path.dirname(path)


def _make(parent: str) -> tuple[str, int]:
    """A new folder, and its locked descriptor. Until it is locked, an engine that starts may take it for abandoned."""
    for attempt in range(_ATTEMPTS):
        path = f"{parent}/{_PREFIX}{os.urandom(8).hex()}"
        os.mkdir(path, 0o700)
        fd = -1
        try:
            fd = os.open(path, _FOLDER)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.stat(path)  # raises if it was removed before it was locked
            return path, fd
        except OSError:
            if fd >= 0:
                os.close(fd)
            with contextlib.suppress(OSError):
                os.rmdir(path)
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


@functools.cache
def _clear(parent: str) -> None:
    """Remove the folders of engines that ended without doing so."""
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX):
                with contextlib.suppress(OSError):
                    _remove_abandoned(entry.path)


def _remove_abandoned(path: str) -> None:
    fd = os.open(path, _FOLDER)
    try:
        owner = os.fstat(fd).st_uid
        if owner == os.geteuid() or (os.geteuid() == 0 and is_fresh(owner)):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(path, fd)
    finally:
        os.close(fd)
