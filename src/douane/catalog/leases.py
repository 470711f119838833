"""Leases: which worker owns a task, and until when, on the database's clock only.

A worker owns a task while its lease lasts and the token that it was given is the task's. Every step of a worker names
its token, so a worker that lost its task changes nothing, however late it comes.
"""

import contextlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from douane.declared import DeclaredImage
from douane.errors import BadValue, CatalogError, Conflict

from . import begin, rows, states, values
from .begin import NO_LEASE, owner_of
from .clock import LEASE_SECONDS, database_time
from .database import Database
from .needs import can_run, needs_of
from .open_source import CLIENT
from .records import Task, task_of
from .schema import UNFINISHED, WAITING, tasks, workers
from .staged_keys import catalog_tag, is_of_another, new_key
from .states import Owner
from .waiting_tasks import COLUMNS, Claimable, Wanted, oldest, one_of_oldest
from .waking import wake_workers
from .workers import in_grace, is_silent

_ATTEMPTS = 16
"""Waiting tasks that a worker tries before it gives way to the workers that took them."""

_SPREADS = (1, 8, 32)
"""Of how many of the oldest tasks a worker tries one. The nodes of a cluster of MariaDB do not see each other's locks:
if all workers of both tried the oldest, one of them would get it, and the others a conflict."""

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
        wanted = Wanted(worker=worker, methods=methods, task_id=task_id)
        while len(wanted.unfit) < _KINDS:
            task, claimed = self._claim(wanted, reached)
            if task is None or claimed is not None:
                return claimed
            # Needs that it cannot meet are passed over from then on. To read all that differ first would read all
            # tasks that wait for each claim.
            wanted = msgspec.structs.replace(wanted, unfit=wanted.unfit | {task.needs or ""})
        return None

    def _claim(self, wanted: Wanted, reached: Collection[str] | None) -> tuple[Claimable | None, Task | None]:
        """The oldest of these tasks, and the same if it is the worker's now, and not one that it cannot run."""
        for spread in _SPREADS if self._database.retries else ():
            try:
                return self._claim_of(wanted, reached, spread)
            except CatalogError as error:
                if error.code != "catalog-busy":
                    raise
        return self._claim_of(wanted, reached, 1)

    def _claim_of(
        self, wanted: Wanted, reached: Collection[str] | None, spread: int
    ) -> tuple[Claimable | None, Task | None]:
        for _ in range(_ATTEMPTS):
            # Another worker, or its end, may be faster. Then the whole transaction is undone, since the image may have
            # its new token already.
            with contextlib.suppress(Conflict), self._database.write() as connection:
                narrowed: Wanted | None = wanted
                if spread > 1:
                    task_id = one_of_oldest(connection, wanted, spread)
                    narrowed = None if task_id is None else msgspec.structs.replace(wanted, task_id=task_id)
                task = None if narrowed is None else oldest(connection, narrowed)
                if task is None and (narrowed is None or narrowed is wanted):
                    break
                if task is None:
                    continue
                if not can_run(task.needs, reached):
                    return task, None
                return task, _receive(connection, task, wanted.worker, at_step="waiting")
        return None, None

    def waiting_count(self) -> int:
        """How many tasks wait for a worker."""
        waiting = select(func.count()).select_from(tasks).where(WAITING)
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
            row = connection.execute(select(*COLUMNS).where(tasks.c.id == task_id)).one()
            return _receive(connection, Claimable(*row), worker, at_step="receiving")

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
            wake_workers(connection)
            return states.changed_task(connection, owner_of(task), row, doing="wait", at_step="receiving")

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
            return states.changed_task(connection, owner, row, doing="take over")

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


def _receive(connection: Connection, task: Claimable, worker: str, at_step: str) -> Task:
    owner = Owner(task.id, task.token)
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
        roles = () if task.declared is None else msgspec.json.decode(task.declared, type=DeclaredImage).roles
        row["declared"] = begin.declared(connection, task.image_id, roles)
    return states.changed_task(connection, owner, row, doing="take", at_step=at_step)
