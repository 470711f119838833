"""Recurring work that one worker of all does: a row for each kind, with a lease, and the time when it is due."""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_, select, update

from . import values
from .clock import database_time
from .database import Database
from .rows import insert_once
from .schema import chores

LONG_AGO = "1970-01-01T00:00:00.000Z"


class Chores:
    """The operations on chores; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def due_chores(self) -> list[str]:
        """The names of the chores that are due, and that nobody does."""
        due = select(chores.c.name).where(_is_free(), chores.c.due_at <= database_time())
        with self._database.read() as connection:
            return list(connection.execute(due.order_by(chores.c.due_at, chores.c.name)).scalars())

    def hasten_chores(self) -> None:
        """All chores are due now: something ended that may have left work."""
        with self._database.write() as connection:
            connection.execute(update(chores).values(due_at=LONG_AGO))

    def take_chore(self, name: str, worker: str, *, lease_s: float) -> bool:
        """True if the chore is due, and is this worker's for `lease_s` seconds: nobody else does it then.

        The worker says when it is due again by `finish_chore`. One that dies leaves it to another when the lease has
        ended; one that is late does it beside another, so every chore must be harmless then.
        """
        values.text("the chore", name, 64)
        due = update(chores).where(chores.c.name == name, _is_free(), chores.c.due_at <= database_time())
        lease = {"worker": values.text("the worker", worker), "lease_until": database_time(lease_s)}
        with self._database.write() as connection:
            return connection.execute(due.values(**lease)).rowcount == 1

    def finish_chore(self, name: str, worker: str, *, again_in_s: float) -> bool:
        """The chore is due again in so many seconds; False if the lease has ended, and it is another's."""
        mine = update(chores).where(chores.c.name == name, chores.c.worker == worker)
        with self._database.write() as connection:
            return connection.execute(mine.values(worker=None, due_at=database_time(again_in_s))).rowcount == 1

    def add_chores(self, names: list[str]) -> None:
        """Make the rows of chores that the catalog does not have; they are due at once."""
        with self._database.write() as connection:
            for name in sorted(names):
                row = {"name": values.text("the chore", name, 64), "lease_until": LONG_AGO, "due_at": LONG_AGO}
                insert_once(connection, chores, row)


def _is_free() -> ColumnElement[bool]:
    return or_(chores.c.worker.is_(None), chores.c.lease_until <= database_time())
