"""Open uploads: bytes that arrive in several requests, and whose client may be away in between.

While a request brings bytes, a door holds the task like every other; in between its lease is the client's. `done` is
the offset up to which the bytes are durable, `total` the length that the client announced. Each request takes the task
with a greater token, so that whoever received for it before records nothing any more.
"""

from typing import Any

from sqlalchemy import Connection, select

from douane.errors import Conflict

from . import begin, rows, states, usage, values
from .begin import owner_of
from .clock import time_in
from .database import Database
from .open_source import CLIENT, expiry_of, is_open, open_source
from .query import UploadQuotas
from .records import Task
from .schema import UNFINISHED, tasks


class OpenUploads:
    """The operations on open uploads; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def open_upload(
        self, task: Task, *, offset: int, length: int | None, seconds: float, quotas: UploadQuotas | None = None
    ) -> Task:
        """The upload of a door stays open, for its client to go on with: `offset` bytes are durable under the task's
        `staged_key`, and without another byte it ends in `seconds`. Raises Conflict (``lost-task``), OverQuota."""
        length = values.optional_number("the length", length)
        with self._database.write() as connection:
            until = time_in(connection, seconds)
            row = {"done": values.number("the offset", offset), "total": length, **_lease_until(until)}
            row["source"] = values.json("the source", open_source(task.staged_key, until))
            return _change(connection, task, row, "keep the upload open", quotas)

    def take_upload(self, task_id: str, worker: str) -> Task:
        """Receive for an open upload from now on, whoever did so until now: the task gets a greater token.

        Raises NotFound; Conflict if the upload is complete, or has ended.
        """
        with self._database.write() as connection:
            task = rows.task(connection, task_id)
            if not is_open(task):
                raise Conflict(
                    f"cannot go on with the upload of task {task.id}: it is not open",
                    actual=task.outcome or task.step,
                    expected="receiving",
                )
            token = {"token": task.token + 1}
            states.step(connection, task.image_id, states.TAKE_OVER, token, owner_of(task))
            row = {**token, **begin.lease(worker)}
            return states.changed_task(
                connection, owner_of(task), row, doing="go on with the upload", at_step="receiving"
            )

    def confirm_upload(self, task: Task) -> None:
        """Whoever took the upload as `task` still has it. Raises NotFound; Conflict (``lost-task``) if another has
        taken it, or if it is complete, or has ended."""
        with self._database.read() as connection:
            current = rows.task(connection, task.id)
            if current.token != task.token or not is_open(current):
                raise states.lost(connection, owner_of(task), "go on with the upload", "receiving")

    def record_offset(
        self,
        task: Task,
        offset: int,
        *,
        seconds: float,
        length: int | None = None,
        quotas: UploadQuotas | None = None,
        leaves: bool = False,
    ) -> Task:
        """Record that `offset` bytes are durable, and the length if it is known by now. The upload may stay open for
        another `seconds`; with `leaves`, the request is over as well. Raises Conflict (``lost-task``), and OverQuota;
        then nothing is recorded."""
        row: dict[str, Any] = {"done": values.number("the offset", offset)}
        if length is not None:
            row["total"] = values.number("the length", length)
        with self._database.write() as connection:
            until = time_in(connection, seconds)
            row["source"] = values.json("the source", open_source(task.staged_key, until))
            if leaves:
                row.update(_lease_until(until))
            return _change(connection, task, row, "record the offset", quotas)

    def leave_upload(self, task: Task) -> Task:
        """The request is over: the client may go on until the time that was recorded last. Raises Conflict
        (``lost-task``)."""
        with self._database.write() as connection:
            current = rows.task(connection, task.id)
            until = expiry_of(current if is_open(current) else task)
            return _change(connection, task, _lease_until(until), "leave the upload to its client")

    def holdings(self, worker: str) -> set[str]:
        """The unfinished tasks that `worker` holds: another may have taken any of them, and any may have ended."""
        matching = select(tasks.c.id).where(UNFINISHED, tasks.c.worker == values.text("the worker", worker))
        with self._database.read() as connection:
            return set(connection.execute(matching).scalars())


def _change(
    connection: Connection, task: Task, row: dict[str, Any], doing: str, quotas: UploadQuotas | None = None
) -> Task:
    changed = states.changed_task(connection, owner_of(task), row, doing=doing, at_step="receiving")
    usage.check(connection, changed, quotas)
    return changed


def _lease_until(time: str) -> dict[str, Any]:
    return {"worker": CLIENT, "lease_until": time}
