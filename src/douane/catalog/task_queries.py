"""Which tasks workers have, and which wait for a worker."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import func, select

from .clock import database_time
from .database import Database
from .records import Task, task_of
from .schema import UNFINISHED, WAITING, tasks

STRANDED_AT_ONCE = 1000


class HeldTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that a worker or a door holds, and how far it is."""

    id: str
    image_id: str
    method: str
    worker: str
    done: int
    """Bytes."""
    total: int | None


class WaitingTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that waits for a worker."""

    id: str
    image_id: str
    method: str
    needs: str | None
    """The stores that its worker has to reach; see :mod:`douane.catalog.needs`."""
    created_at: str


class WaitingWork(msgspec.Struct, frozen=True):
    """Tasks that wait, by what they need of a worker."""

    needs: str | None
    count: int


class TaskQueries:
    """The queries of tasks that are run or wait; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def held_tasks(self) -> list[HeldTask]:
        """The tasks that somebody holds, oldest first."""
        columns = [tasks.c[name] for name in HeldTask.__struct_fields__]
        leased = select(*columns).where(UNFINISHED, tasks.c.worker.is_not(None))
        with self._database.read() as connection:
            rows = connection.execute(leased.order_by(tasks.c.created_at, tasks.c.id))
            return [HeldTask(**row._asdict()) for row in rows]

    def waiting(self, limit: int = 1000) -> list[WaitingTask]:
        """The tasks that wait for a worker, oldest first."""
        columns = [tasks.c[name] for name in WaitingTask.__struct_fields__]
        query = select(*columns).where(WAITING)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(tasks.c.created_at, tasks.c.id).limit(limit))
            return [WaitingTask(**row._asdict()) for row in rows]

    def waiting_needs(self) -> list[WaitingWork]:
        """What the tasks need that wait for a worker, and how many they are."""
        waiting = select(tasks.c.needs, func.count()).where(WAITING)
        with self._database.read() as connection:
            return [
                WaitingWork(needs, int(count)) for needs, count in connection.execute(waiting.group_by(tasks.c.needs))
            ]

    def waiting_with(self, needs: Collection[str], older_than_s: float) -> list[Task]:
        """The tasks that have waited for longer, and that have one of these needs; 1,000 at most."""
        old = [tasks.c.needs.in_(sorted(needs)), tasks.c.updated_at <= database_time(-older_than_s)]
        query = select(tasks).where(WAITING, *old)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(tasks.c.created_at, tasks.c.id).limit(STRANDED_AT_ONCE))
            return [task_of(row._asdict()) for row in rows]
