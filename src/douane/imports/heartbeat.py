"""The heartbeat of a worker: its leases last while it works, and no longer; and the catalog knows that it is there."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

import msgspec

from douane import __version__
from douane.catalog import Catalog
from douane.catalog.worker_record import WorkerState
from douane.errors import CatalogError

log = logging.getLogger("douane")

HEARTBEAT_SECONDS = 5.0
"""A lease lasts 20 seconds: three heartbeats may be lost."""

_NOT_JOINED = "worker %s cannot use the catalog: %s"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """As what a worker joins the others."""

    name: str
    host: str = msgspec.field(default_factory=socket.gethostname)


class Heartbeat:
    """A thread of its own, so that nothing that a run waits for costs the worker its task."""

    def __init__(
        self,
        catalog: Catalog,
        worker: Identity,
        reached: Callable[[], Sequence[str] | None] = lambda: None,
        seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        """`reached` says which stores the worker reaches now."""
        self._catalog = catalog
        self._worker = worker
        self._reached = reached
        self._seconds = seconds
        self._task_id: str | None = None
        self.state: WorkerState = "active"
        """As the last heartbeat read it."""

        self.joined = threading.Event()
        """Set when the catalog knows the worker, which knows whether it is cordoned then."""

        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._beat, name="douane-heartbeat", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def working(self, task_id: str) -> Iterator[None]:
        """Renew the lease of this task in the block, and of no other: one whose end could not be recorded is found by
        others when its lease ends, however busy this worker is."""
        self._task_id = task_id
        try:
            yield
        finally:
            self._task_id = None

    @property
    def is_halted(self) -> bool:
        """The worker is cordoned."""
        return self.state in ("cordoned", "drained")

    def beat(self) -> WorkerState:
        """One heartbeat, which joins the others if the catalog does not know this worker. Raises CatalogError."""
        with self._lock:  # of the thread, and of a worker that waits for the end of its cordon
            stores = self._reached()
            state = self._catalog.beat(self._worker.name, stores)
            if state is None:
                state = self._catalog.join(
                    self._worker.name,
                    host=self._worker.host,
                    pid=os.getpid(),
                    version=__version__,
                    stores=stores,
                )
            self.state = state
            self.joined.set()
            return state

    def _beat(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            pause = self._seconds * random.uniform(0.8, 1.0)  # not all workers at the same time
            task_id = self._task_id
            try:
                if task_id is not None:
                    self._catalog.hold(self._worker.name, [task_id])
                self.beat()
            except CatalogError as error:
                problem = "the lease of worker %s cannot be renewed: %s" if self.joined.is_set() else _NOT_JOINED
                log.error(problem, self._worker.name, error)

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()
