"""Leases: which worker owns a task, and until when, on the database's clock only.

A worker owns a task while its lease lasts and the token that it was given is the task's. Every step of a worker names
its token, so a worker that lost its task changes nothing, however late it comes.
"""

import contextlib
import random
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from douane.errors import BadValue, CatalogError, Conflict

from . import begin, rows, states, values
from .begin import NO_LEASE, owner_of
from .clock import LEASE_SECONDS, database_time
from .database import Database
from .needs import can_run, needs_of
from .open_source import CLIENT
from .records import Task, task_of
from .schema import UNFINISHED, images, tasks, workers
from .staged_keys import catalog_tag, is_of_another, new_key
from .states import Owner
from .waking import wake_workers
from .workers import in_grace, is_halted, is_silent

_ATTEMPTS = 16
"""Waiting tasks that a worker tries before it gives way to the workers that took them."""

_SPREADS = (1, 8, 32)
"""Of how many of the oldest tasks a worker tries one. The nodes of a cluster of MariaDB do not see each other's locks:
if all workers of both tried the oldest, one of them would get it, and the others a conflict."""

_LOOKED_AT = 128
"""Waiting tasks of which one is taken: more than claim at the same moment."""

_KINDS = 256
"""Different needs that a worker looks at in one claim."""

RELEASED = "1970-01-01T00:00:00.000Z"
"""The lease of a worker that is known to be gone."""


class Leases:
    """The operations of workers on the tasks they hold; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def claim(
        self,
        worker: str,
        methods: Sequence[str] | None = None,
        *,
        reached: Collection[str] | None = None,
        task_id: str | None = None,
    ) -> Task | None:
        """Become the worker of the oldest task that waits, and that a worker can run which reaches the stores of
        `reached` (None: all); of one of `methods` if they are named, or of the very task `task_id`. None: none waits,
        or the worker is cordoned.

        The task gets a greater token, a lease, a new `staged_key`, the image's facts as they are now, and one attempt
        more.
        """
        waiting = [UNFINISHED, tasks.c.step == "waiting", ~is_halted(worker)]
        if methods is not None:
            waiting.append(tasks.c.method.in_(list(methods)))
        if task_id is not None:
            waiting.append(tasks.c.id == task_id)
        unfit: set[str] = set()
        while len(unfit) < _KINDS:
            # Needs that it cannot meet are passed over from then on. To read all that differ first would read all
            # tasks that wait for each claim.
            fitting = waiting if not unfit else [*waiting, _has_other_needs(unfit)]
            task, is_mine = self._claim(worker, fitting, reached)
            if task is None or is_mine:
                return task
            unfit.add(task.needs or "")
        return None

    def _claim(
        self, worker: str, waiting: list[ColumnElement[bool]], reached: Collection[str] | None
    ) -> tuple[Task | None, bool]:
        """The oldest of these tasks, and whether it is the worker's now, or one that it cannot run."""
        for spread in _SPREADS if self._database.retries else ():
            try:
                return self._claim_of(worker, waiting, reached, spread)
            except CatalogError as error:
                if error.code != "catalog-busy":
                    raise
        return self._claim_of(worker, waiting, reached, 1)

    def _claim_of(
        self, worker: str, waiting: list[ColumnElement[bool]], reached: Collection[str] | None, spread: int
    ) -> tuple[Task | None, bool]:
        for _ in range(_ATTEMPTS):
            # Another worker, or its end, may be faster. Then the whole transaction is undone, since the image may have
            # its new token already.
            with contextlib.suppress(Conflict), self._database.write() as connection:
                narrowed = waiting if spread == 1 else _any_of_first(connection, waiting, spread)
                task = None if narrowed is None else _oldest(connection, narrowed)
                if task is None and (narrowed is None or narrowed is waiting):
                    break
                if task is None:
                    continue
                if not can_run(task.needs, reached):
                    return task, False
                return _receive(connection, task, worker, at_step="waiting"), True
        return None, False

    def waiting_count(self) -> int:
        """How many tasks wait for a worker."""
        waiting = select(func.count()).select_from(tasks).where(UNFINISHED, tasks.c.step == "waiting")
        with self._database.read() as connection:
            return int(connection.execute(waiting).scalar_one())

    def take(self, task_id: str, token: int, worker: str) -> Task:
        """Become the worker of a task that its holder hands over, with the holder's `token`, as with `claim`.

        Raises NotFound, Conflict (``lost-task``, ``wrong-state``).
        """
        with self._database.write() as connection:
            task = rows.task(connection, task_id)
            if task.token != token or task.outcome is not None:
                raise states.lost(connection, Owner(task_id, token), "take over")
            return _receive(connection, task, worker, at_step="receiving")

    def hold(self, worker: str, task_ids: Collection[str]) -> int:
        """The worker's heartbeat: its leases of these tasks last another 20 seconds. The number of them it still has.

        A task that is not named is one that the worker does not work on, whatever the catalog says: the catalog was
        away when it began or ended. Its lease ends, and somebody looks after it.
        """
        name = values.text("the worker", worker)
        mine = and_(UNFINISHED, tasks.c.worker == name, tasks.c.id.in_(list(task_ids)))
        with self._database.write() as connection:
            renewed = update(tasks).where(mine).values(lease_until=database_time(LEASE_SECONDS))
            return connection.execute(renewed).rowcount

    def release_worker(self, worker: str) -> int:
        """The worker's process is gone: all its leases end now. The number of its tasks."""
        name = values.text("the worker", worker)
        return self._end_leases(tasks.c.worker == name, workers.c.name == name)

    def release_group(self, group: str) -> int:
        """All workers whose names begin with `group` are gone: their leases end now. The number of their tasks."""
        name = values.text("the group", group)
        mine, ours = (column.startswith(name, autoescape=True) for column in (tasks.c.worker, workers.c.name))
        return self._end_leases(mine, ours)

    def release(self, task: Task, *, source: Any = None, undo_attempt: bool = False) -> Task:
        """Let the task wait for another worker, who begins with `source`, by default with the recorded one.

        `undo_attempt`: the attempt does not count, because the worker itself has to stop. Raises Conflict
        (``lost-task``, ``wrong-state``), and BadValue if there is nothing to begin with.
        """
        row: dict[str, Any] = {"step": "waiting", **NO_LEASE}
        if source is not None:
            row["source"] = values.json("the source", source)
        with self._database.write() as connection:
            current = rows.task(connection, task.id)
            if source is None and current.source is None and current.method != "copy-image":
                raise BadValue(
                    f"the task {task.id} cannot wait: there are no bytes with which another worker can begin"
                )
            row["needs"] = needs_of(
                connection,
                current.image_id,
                method=current.method,
                source=current.source if source is None else source,
                stores=current.stores,
                requested=current.requested,
            )
            if undo_attempt:
                row["attempts"] = max(current.attempts - 1, 0)
            states.own_task(connection, owner_of(task), row, doing="wait", at_step="receiving")
            wake_workers(connection)
            return rows.task(connection, task.id)

    def is_current(self, task: Task) -> bool:
        """False if the task has ended or belongs to another worker: then its worker stops, and discards its bytes."""
        matching = select(tasks.c.id).where(tasks.c.id == task.id, tasks.c.token == task.token, UNFINISHED)
        with self._database.read() as connection:
            return connection.execute(matching).first() is not None

    def dead_tasks(self) -> list[Task]:
        """The tasks whose workers died: their leases have ended, and not because nobody could reach the database.
        Oldest first."""
        matching = select(tasks).where(UNFINISHED, is_dead())
        with self._database.read() as connection:
            return [
                task_of(row._asdict()) for row in connection.execute(matching.order_by(tasks.c.created_at, tasks.c.id))
            ]

    def take_over(self, task: Task, worker: str | None = None) -> Task:
        """Become the task's worker instead of a worker that died, whose token is void from now on.

        Its `staged_key` stays, so that the bytes of the dead worker can be published or discarded. Without `worker`
        there is no lease: an import on the command line. Of several concurrent calls one wins. Raises NotFound;
        Conflict: ``lost-task``, or ``wrong-state`` while the lease lasts.
        """
        owner = owner_of(task)
        row = {"token": task.token + 1, **(NO_LEASE if worker is None else begin.lease(worker))}
        with self._database.write() as connection:
            states.step(connection, task.image_id, states.TAKE_OVER, {"token": task.token + 1}, owner)
            unheld = or_(tasks.c.lease_until.is_(None), is_dead())
            statement = select(tasks.c.id).where(tasks.c.id == task.id, unheld).with_for_update()
            if connection.execute(statement).first() is None:
                raise Conflict(
                    f"cannot take over import task {task.id}: the lease of its worker lasts",
                    actual="with a worker",
                    expected="without a worker",
                )
            states.own_task(connection, owner, row, doing="take over")
            return rows.task(connection, task.id)

    def staged_keys(self) -> set[str]:
        """All keys under which bytes of unfinished tasks may lie in a store: those of the bytes, and of their source.

        Keys are recorded before the first byte. So a key that a store listed before this call, and that is not among
        these, belongs to no task.
        """
        matching = select(tasks.c.id, tasks.c.staged_key, tasks.c.source).where(UNFINISHED)
        keys: set[str] = set()
        with self._database.read() as connection:
            for row in connection.execute(matching):
                source = {} if row.source is None else values.from_json(row.source)
                keys.update(key for key in (row.id, row.staged_key, source.get("spool"), source.get("staged")) if key)
        return keys

    def keys_of_others(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys that another catalog made: their bytes are not remnants of this one."""
        with self._database.read() as connection:
            tag = catalog_tag(connection)
        return {key for key in keys if is_of_another(key, tag)}

    def _end_leases(self, of_tasks: ColumnElement[bool], of_workers: ColumnElement[bool]) -> int:
        with self._database.write() as connection:
            connection.execute(update(workers).where(of_workers).values(state="gone"))
            ended = update(tasks).where(UNFINISHED, of_tasks).values(lease_until=RELEASED)
            return connection.execute(ended).rowcount


def is_dead() -> ColumnElement[bool]:
    """The worker of a task is gone: somebody who knows has said so, or its lease has ended while others' heartbeats
    came. The client of an open upload sends no heartbeats."""
    had_time = or_(tasks.c.worker == CLIENT, and_(~is_silent(), ~in_grace()))
    return or_(tasks.c.lease_until == RELEASED, and_(tasks.c.lease_until <= database_time(), had_time))


def _has_other_needs(unfit: Collection[str]) -> ColumnElement[bool]:
    return or_(tasks.c.needs.is_(None), tasks.c.needs.not_in(sorted(unfit)))


def _any_of_first(
    connection: Connection, waiting: list[ColumnElement[bool]], count: int
) -> list[ColumnElement[bool]] | None:
    """The condition of one of the `count` oldest tasks; None if none waits."""
    oldest = select(tasks.c.id).where(*waiting).order_by(tasks.c.created_at, tasks.c.id).limit(count)
    ids = list(connection.execute(oldest).scalars())
    return [*waiting, tasks.c.id == random.choice(ids)] if ids else None


def _oldest(connection: Connection, waiting: list[ColumnElement[bool]]) -> Task | None:
    # Of the oldest, by an index: a join of all that waits with the images took 60 ms where 10,000 waited.
    some = select(tasks.c.id, tasks.c.image_id, tasks.c.created_at).where(*waiting)
    first = some.order_by(tasks.c.created_at, tasks.c.id).limit(_LOOKED_AT).subquery()
    owned = and_(images.c.id == first.c.image_id, images.c.task_id == first.c.id)
    oldest = select(first.c.id).join(images, owned).order_by(first.c.created_at, first.c.id).limit(1)
    # PostgreSQL: an image that another worker is just taking is passed over. SQLite has one writer at a time.
    row = connection.execute(oldest.with_for_update(skip_locked=True, of=images)).first()
    return None if row is None else rows.task(connection, row.id)


def _receive(connection: Connection, task: Task, worker: str, at_step: str) -> Task:
    owner = owner_of(task)
    states.step(connection, task.image_id, states.TAKE_OVER, {"token": task.token + 1}, owner)
    row: dict[str, Any] = {
        "step": "receiving",
        "token": task.token + 1,
        "attempts": task.attempts + 1,
        "staged_key": new_key(connection),
        "done": 0,
        **begin.lease(worker),
    }
    if task.verdict is None:
        roles = () if task.declared is None else task.declared.roles
        row["declared"] = begin.declared(connection, task.image_id, roles)
    states.own_task(connection, owner, row, doing="take", at_step=at_step)
    return rows.task(connection, task.id)
