"""Who runs imports: the workers of all machines, and which of them take no new ones.

A worker's heartbeat is also the database's own record that somebody could reach it. If none came for a while, the
database was away, or its clock was set: leases ended then although their workers live. From the first heartbeat after
that, no lease counts as ended for as long as a lease lasts (`leases.py`, `is_dead`).
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import BindParameter, ColumnElement, Connection, and_, delete, exists, insert, or_, select, update

from . import values
from .clock import LEASE_SECONDS, database_time
from .database import Database
from .records import now
from .rows import insert_once
from .schema import UNFINISHED, cordons, marks, tasks, workers
from .worker_record import Worker, WorkerState, worker_of

SILENCE_SECONDS = 10.0
"""Two heartbeats of all workers have failed: the database was away. A lease that began before lasts 5 seconds more."""

SEEN_SECONDS = 60.0
"""How long a worker without a heartbeat is listed."""

FORGOTTEN_SECONDS = 3600.0
GRACE_UNTIL = "grace_until"


class Workers:
    """The operations on workers and cordons; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def join(
        self, name: str, *, host: str, pid: int, version: str, stores: Collection[str] | None = None
    ) -> WorkerState:
        """The process `name` runs imports from now on, with the `stores` that it reaches; whether it may claim any."""
        row = {
            "name": values.text("the worker", name),
            "host": values.text("the host", host),
            "pid": values.number("the process", pid),
            "version": values.text("the version", version, 64),
            "stores": _stores(stores),
            "started_at": now(),
            "seen_at": database_time(),
        }
        with self._database.write() as connection:
            _begin_grace_after_silence(connection)
            connection.execute(delete(workers).where(workers.c.name == name))
            is_cordoned = exists(select(cordons.c.place).where(cordons.c.place.in_((host, name))))
            state: WorkerState = "cordoned" if connection.execute(select(is_cordoned)).scalar_one() else "active"
            connection.execute(insert(workers).values(**row, state=state))
        return state

    def beat(self, name: str, stores: Collection[str] | None = None) -> WorkerState | None:
        """The heartbeat of a worker, whether it runs anything or not, with the stores that it reaches now; None if it
        has to join (again)."""
        row = {"seen_at": database_time(), "stores": _stores(stores)}
        with self._database.write() as connection:
            _begin_grace_after_silence(connection)
            alive = and_(workers.c.name == name, workers.c.state != "gone")
            if connection.execute(update(workers).where(alive).values(row)).rowcount != 1:
                return None
            state: WorkerState = connection.execute(select(workers.c.state).where(workers.c.name == name)).scalar_one()
            return state

    def drained(self, name: str) -> bool:
        """A cordoned worker says that it runs nothing, and begins nothing until its state is "active" again. False if
        it is not cordoned any more."""
        cordoned = and_(workers.c.name == name, workers.c.state.in_(("cordoned", "drained")))
        with self._database.write() as connection:
            return connection.execute(update(workers).where(cordoned).values(state="drained")).rowcount == 1

    def cordon(self, place: str) -> int:
        """Let the workers of a machine, or one worker, begin no new import; also workers that start there later. How
        many there are now."""
        place = values.text("the machine or worker", place)
        with self._database.write() as connection:
            insert_once(connection, cordons, {"place": place, "created_at": now()})
            active = and_(_at(place), workers.c.state == "active")
            connection.execute(update(workers).where(active).values(state="cordoned"))
            return len(connection.execute(select(workers.c.name).where(_at(place), _living())).all())

    def uncordon(self, place: str) -> int:
        """Let the workers of a machine, or one worker, begin imports again; how many there are now."""
        with self._database.write() as connection:
            connection.execute(delete(cordons).where(cordons.c.place == place))
            is_cordoned = exists(select(cordons.c.place).where(cordons.c.place.in_((workers.c.host, workers.c.name))))
            halted = and_(_at(place), workers.c.state.in_(("cordoned", "drained")), ~is_cordoned)
            connection.execute(update(workers).where(halted).values(state="active"))
            return len(connection.execute(select(workers.c.name).where(_at(place), _living())).all())

    def workers(self) -> list[Worker]:
        """The workers whose last heartbeat is less than a minute old, with the tasks they hold; by host and name."""
        query = select(workers).where(_living()).order_by(workers.c.host, workers.c.name)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            task_ids: dict[str, list[str]] = {}
            holding = select(tasks.c.worker, tasks.c.id).where(UNFINISHED, tasks.c.worker.is_not(None))
            for worker, task_id in connection.execute(holding.order_by(tasks.c.created_at, tasks.c.id)):
                task_ids.setdefault(worker, []).append(task_id)
            return [worker_of(row._asdict(), task_ids.get(row.name, ())) for row in rows]

    def cordoned_places(self) -> list[str]:
        """The machines and workers that are cordoned."""
        with self._database.read() as connection:
            return list(connection.execute(select(cordons.c.place).order_by(cordons.c.place)).scalars())

    def forget_workers(self) -> int:
        """Remove the rows of workers that were last seen an hour ago; how many."""
        old = workers.c.seen_at <= database_time(-FORGOTTEN_SECONDS)
        with self._database.write() as connection:
            return connection.execute(delete(workers).where(old)).rowcount


def is_silent() -> ColumnElement[bool]:
    """No worker's heartbeat came lately."""
    return ~exists(select(workers.c.name).where(workers.c.seen_at > database_time(-SILENCE_SECONDS)))


def in_grace() -> ColumnElement[bool]:
    """The database was away a moment ago. A grace that ends later than one that begins now was given by a clock that
    has been set back since: with it, the leases of living workers end later, too."""
    latest = database_time(LEASE_SECONDS)
    lasting = marks.c.value.between(database_time(), latest)
    return exists(select(marks.c.name).where(marks.c.name == GRACE_UNTIL, lasting))


def is_halted(worker: str | BindParameter[str]) -> ColumnElement[bool]:
    """The worker is cordoned."""
    return exists(select(workers.c.name).where(workers.c.name == worker, workers.c.state.in_(("cordoned", "drained"))))


def _stores(stores: Collection[str] | None) -> str | None:
    return None if stores is None else values.json("the stores", values.words("the id of a store", stores))


def _begin_grace_after_silence(connection: Connection) -> None:
    fresh = select(workers.c.name).where(workers.c.seen_at > database_time(-SILENCE_SECONDS)).limit(1)
    if connection.execute(fresh).first() is None:
        grace = update(marks).where(marks.c.name == GRACE_UNTIL).values(value=database_time(LEASE_SECONDS))
        connection.execute(grace)


def _at(place: str) -> ColumnElement[bool]:
    return or_(workers.c.host == place, workers.c.name == place)


def _living() -> ColumnElement[bool]:
    return and_(workers.c.state != "gone", workers.c.seen_at > database_time(-SEEN_SECONDS))
