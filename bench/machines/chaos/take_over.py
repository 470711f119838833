"""How long after the end of its lease a task is another worker's."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import NamedTuple

from sqlalchemy import select

from douane.catalog.clock import database_time
from douane.catalog.leases import RELEASED
from douane.catalog.open_source import CLIENT
from douane.catalog.schema import UNFINISHED, tasks
from douane.errors import CatalogError

from .site import Site

PAUSE_SECONDS = 0.2


class _Holder(NamedTuple):
    token: int
    ended_at: float | None
    """When the lease was seen to be over, on our clock."""


class _TaskRow(NamedTuple):
    """A row of a task that has not ended."""

    token: int
    worker: str | None
    lease_until: str | None
    clock: str
    """The database's, in the same transaction."""


class TakeOvers:
    """Look at all tasks several times a second, as long as the block lasts."""

    def __init__(self, site: Site) -> None:
        self.seconds: list[float] = []
        self._site = site
        self._holders: dict[str, _Holder] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._is_over.wait(PAUSE_SECONDS):
            with contextlib.suppress(CatalogError), self._site.catalog() as catalog:
                while not self._is_over.wait(PAUSE_SECONDS):
                    task = select(tasks.c.id, tasks.c.token, tasks.c.worker, tasks.c.lease_until, database_time())
                    with catalog._database.read() as connection:
                        rows = connection.execute(task.where(UNFINISHED)).all()
                    self._look({row[0]: _TaskRow(*row[1:]) for row in rows})

    def _look(self, rows: dict[str, _TaskRow]) -> None:
        moment = time.monotonic()
        for task_id, holder in list(self._holders.items()):
            if task_id not in rows or rows[task_id].token != holder.token:
                if holder.ended_at is not None:
                    self.seconds.append(moment - holder.ended_at)
                del self._holders[task_id]
        for task_id, task in rows.items():
            if task.worker in (None, CLIENT) or task.lease_until in (None, RELEASED):
                self._holders.pop(task_id, None)  # its end was said, or no heartbeat is expected
                continue
            previous = self._holders.get(task_id, _Holder(task.token, None))
            has_ended = task.lease_until is not None and task.lease_until <= task.clock
            first = moment if previous.ended_at is None else previous.ended_at
            self._holders[task_id] = _Holder(task.token, first if has_ended else None)

    def __enter__(self) -> TakeOvers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
