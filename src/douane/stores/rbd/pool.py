"""The helper processes of one store: a few wait for the next command, and there are never more than the options say."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

from douane.errors import StoreError
from douane.units import number_of

from .errors import explain, explain_connection
from .options import RbdOptions
from .process import Helper, HelperError

_IDLE = 2
"""Processes that wait; each has some 40 MiB of memory."""

_WAITING_SECONDS = 60.0


class Helpers:
    """Safe for threads, and after fork(2)."""

    def __init__(self, options: RbdOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._idle: list[Helper] = []
        self._room = threading.BoundedSemaphore(self._options.processes)

    def borrow(self) -> Helper:
        """A helper that is connected to the pool, for the caller alone, until :meth:`give_back`. Raises StoreError."""
        with self._lock:
            if self._pid != os.getpid():
                self._reset()  # the processes are those of the parent
            room = self._room
        if not room.acquire(timeout=_WAITING_SECONDS):
            raise StoreError(
                f"the pool {self._options.pool} has {number_of(self._options.processes, 'open image')} already, as "
                "many as 'processes' allows; raise it",
                code="store-busy",
            )
        try:
            with self._lock:
                helper = self._idle.pop() if self._idle else None
            helper = helper or Helper(self._options)
            if not helper.has_pool:
                helper.close()
                raise StoreError(
                    f"the cluster has no pool {self._options.pool}: make it (ceph osd pool create, rbd pool init), or "
                    "name another",
                    code="store-unwritable",
                )
        except HelperError as error:
            room.release()
            raise explain_connection(error, self._options) from error
        except BaseException:
            room.release()
            raise
        return helper

    def give_back(self, helper: Helper) -> None:
        """The helper has no image open, or is broken."""
        self._room.release()
        with self._lock:
            if not helper.is_broken and len(self._idle) < _IDLE:
                self._idle.append(helper)
                return
        helper.close()

    def room(self) -> tuple[int | None, bool]:
        """Bytes that the pool can still take, if that is known, and whether it is full. Raises StoreError."""
        with self.borrowed("ask for the room") as helper:
            answer = helper.call("room", pool=self._options.pool)
        return answer["free"], answer["is_full"]

    def is_full(self) -> bool:
        """True if the pool is known to be full."""
        try:
            return self.room()[1]
        except StoreError:
            return False

    @contextlib.contextmanager
    def borrowed(self, doing: str, *, writes: bool = False) -> Iterator[Helper]:
        """A helper for a block, whose HelperErrors become StoreErrors: `doing` completes "cannot ..."."""
        helper = self.borrow()
        try:
            yield helper
        except HelperError as error:
            if writes:
                raise explain(error, doing, self._options, self.is_full) from error
            raise explain(error, doing, self._options) from error
        except BaseException:
            helper.is_broken = True  # an answer may still come
            raise
        finally:
            self.give_back(helper)
