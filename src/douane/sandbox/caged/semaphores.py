"""Semaphores for `multiprocessing` where a plugin has no /dev/shm of its own: in the private folder instead.

sem_open(3) makes its files in /dev/shm, whatever the variables say, and in tier `strict` that folder is the host's. A
semaphore only needs memory that its processes share, so this class keeps it in a file of the private folder, and
children inherit the mapping. It has the methods of `_multiprocessing.SemLock`, on which `multiprocessing` builds its
locks, queues and pools (CPython, Modules/_multiprocessing/semaphore.c).
"""

from __future__ import annotations

import _thread
import errno
import os
import sys

from .libc import Memory, call, packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_RECURSIVE, _SEMAPHORE = 0, 1
_SIZE = 4096
_READ_WRITE, _SHARED = 3, 1


def install(folder: str) -> None:
    """Let `multiprocessing` make its semaphores in `folder`."""
    try:
        import _multiprocessing  # type: ignore[import-not-found]  # missing in typeshed
    except ImportError:  # this interpreter has no semaphores at all
        return

    class PrivateSemLock(SemLock):
        """A semaphore in the plugin's private folder."""

        _folder = folder

    _multiprocessing.SemLock = PrivateSemLock


class SemLock:
    """A recursive lock (kind 0) or a semaphore (kind 1) for this process and its children. Raises OSError."""

    SEM_VALUE_MAX = 2**31 - 1
    _folder = ""
    _address = 0

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> None:
        if kind not in (_RECURSIVE, _SEMAPHORE):
            raise ValueError("unrecognized kind")
        if not 0 <= value <= maxvalue:
            raise ValueError("a semaphore has a value between 0 and its maximum")
        path = f"{self._folder}/semaphore-{os.urandom(8).hex()}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.unlink(path)
            os.ftruncate(fd, _SIZE)
            self._address = call("mmap", 0, _SIZE, _READ_WRITE, _SHARED, fd, 0)
        finally:
            os.close(fd)
        call("sem_init", self._address, 1, value)
        self.kind, self.maxvalue, self.handle = kind, maxvalue, self._address
        self.name = None  # nothing is left to remove, so `multiprocessing` starts no process that would do so
        self._held = 0
        self._owner = 0

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Wait for the semaphore, at most `timeout` seconds; return False if it cannot be had."""
        if self.kind == _RECURSIVE and self._is_mine():
            self._held += 1
            return True
        if not self._wait(block, timeout):
            return False
        self._held += 1
        self._owner = _thread.get_ident()
        return True

    __enter__ = acquire

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Give it back. Raises AssertionError, ValueError if that was not due."""
        if self.kind == _RECURSIVE:
            if not self._is_mine():
                raise AssertionError("attempt to release recursive lock not owned by thread")
            if self._held > 1:
                self._held -= 1
                return
        elif self._get_value() >= self.maxvalue:
            raise ValueError("semaphore or lock released too many times")
        self._held -= 1  # first, as another thread may go on at once
        call("sem_post", self._address)

    def _wait(self, block: bool, timeout: float | None) -> bool:
        if timeout is None or not block:
            name, moment = ("sem_wait" if block else "sem_trywait"), None
        else:
            import time

            end = time.time_ns() + max(0, int(timeout * 1e9))
            moment = Memory(packed((end // 10**9, 8), (end % 10**9, 8)))
            name = "sem_timedwait"
        while True:
            try:
                call(name, self._address, *((moment.address,) if moment is not None else ()))
            except InterruptedError:
                continue  # a signal came; Python has run its handler
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.ETIMEDOUT):
                    return False
                raise
            return True

    def _get_value(self) -> int:
        value = Memory(bytes(4))
        call("sem_getvalue", self._address, value.address)
        return int.from_bytes(value.content(), sys.byteorder, signed=True)

    def _is_zero(self) -> bool:
        return self._get_value() == 0

    def _is_mine(self) -> bool:
        return self._held > 0 and self._owner == _thread.get_ident()

    def _count(self) -> int:
        return self._held

    def _after_fork(self) -> None:
        self._held = 0

    @staticmethod
    def _rebuild(*_: Any) -> SemLock:
        raise OSError(errno.EPERM, "a semaphore is inherited by a child that is forked, and by no other process")

    def __del__(self) -> None:
        if self._address:
            call("munmap", self._address, _SIZE)
