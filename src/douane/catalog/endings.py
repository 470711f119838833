"""The end of tasks from outside: cancelled, expired, and the removal of their records."""

from datetime import datetime

from sqlalchemy import Connection, and_, delete, select

from douane.errors import BadValue, Conflict

from . import begin, rows, states, values
from .begin import NO_LEASE
from .clock import database_time, time_in
from .database import Database
from .kept_reports import move_reports
from .records import Task, task_of, time_text
from .schema import UNFINISHED, images, tasks

REMOVED_AT_ONCE = 100
"""Their reports, of up to some 100 KiB each, are copied in the same transaction, for which others wait in SQLite."""


class Endings:
    """The ends that nobody's worker decides; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def cancel(self, image_or_task_id: str, *, message: str) -> Task:
        """Cancel the import or the copying of an image, named by its own id or by that of the image.

        The worker's token is void from now on. The image becomes "queued" (or "deleted", as `on_failure` said); one
        that is being copied stays as it is. Nobody else discards the staged bytes: those of keys that no task has go
        with the next sweep. Raises NotFound; Conflict if nothing is running, or if the import is at "publishing": then
        it was accepted, and is about to be active.
        """
        with self._database.write() as connection:
            task = _running(connection, image_or_task_id)
            owner = begin.owner_of(task)
            failure = {"code": "cancelled", "message": values.sentence(message)}
            stores = values.json("the failed stores", task.stores if task.requested else [])
            what = {**failure, "failed_stores": stores, "token": task.token + 1}
            states.step(connection, task.image_id, states.end_of(task), what, owner)
            if task.step == "publishing":
                raise Conflict(
                    f"cannot cancel import task {task.id}: the image was accepted, and is being published",
                    actual=task.step,
                    expected="an earlier step",
                )
            ended = {"step": "done", "outcome": "cancelled", "token": task.token + 1, **failure, **NO_LEASE}
            return states.changed_task(connection, owner, ended, doing="cancel", at_step=task.step)

    def expired_staged(self, older_than_s: float) -> list[Task]:
        """The tasks whose bytes were staged longer ago, and whose import nobody requested: the caller ends them by
        `fail`, which is refused if an import is requested meanwhile, and discards the bytes."""
        if not isinstance(older_than_s, int | float) or isinstance(older_than_s, bool):
            raise BadValue(f"the age of staged data must be a number of seconds, not {older_than_s!r:.40}")
        old = tasks.c.updated_at <= database_time(-older_than_s)
        with self._database.read() as connection:
            query = select(tasks).where(UNFINISHED, tasks.c.step == "staged", old)
            return [
                task_of(row._asdict()) for row in connection.execute(query.order_by(tasks.c.created_at, tasks.c.id))
            ]

    def remove_ended(self, now: datetime | None = None) -> int:
        """Remove the records of ended tasks whose time of expiry has passed, :data:`REMOVED_AT_ONCE` at most; how many
        were removed. What an accepted import said of an image that is not deleted stays as its report."""
        if now is not None and now.tzinfo is None:
            raise BadValue("the time must have its zone")
        with self._database.write() as connection:
            time = time_in(connection) if now is None else time_text(now)
            expired = and_(tasks.c.outcome.is_not(None), tasks.c.expires_at <= time)
            gone = move_reports(connection, expired, REMOVED_AT_ONCE)
            return connection.execute(delete(tasks).where(tasks.c.id.in_(gone))).rowcount if gone else 0


def _running(connection: Connection, image_or_task_id: str) -> Task:
    """The task that runs, which cannot end or change its worker before the transaction ends."""
    named = select(tasks.c.image_id).where(tasks.c.id == image_or_task_id)
    image_id = connection.execute(named).scalar() or image_or_task_id
    # The row of the image is held: every end and every change of the worker changes it first.
    connection.execute(select(images.c.id).where(images.c.id == image_id).with_for_update())
    if image_id == image_or_task_id:
        rows.image(connection, image_id)
        return begin.current_task(connection, image_id)
    task = rows.task(connection, image_or_task_id)
    if task.outcome is not None:
        raise Conflict(
            f"the import task {task.id} has ended ({task.outcome})", actual=task.outcome, expected="a running task"
        )
    return task
