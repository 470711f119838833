"""The heartbeat of a worker: its leases last while it works, and no longer."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from douane.catalog import Catalog
from douane.errors import CatalogError

log = logging.getLogger("douane")

HEARTBEAT_SECONDS = 5.0
"""A lease lasts 20 seconds: three heartbeats may be lost."""


class Heartbeat:
    """A thread of its own, so that nothing that a run waits for costs the worker its task."""

    def __init__(self, catalog: Catalog, worker: str, seconds: float = HEARTBEAT_SECONDS) -> None:
        self._catalog = catalog
        self._worker = worker
        self._seconds = seconds
        self._task_id: str | None = None
        self._ended = threading.Event()
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

    def _beat(self) -> None:
        while not self._ended.wait(self._seconds):
            task_id = self._task_id
            if task_id is None:
                continue
            try:
                self._catalog.hold(self._worker, [task_id])
            except CatalogError as error:
                log.error("the lease of worker %s cannot be renewed: %s", self._worker, error)

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()
