"""Read import tasks: one, those of an image, and pages of all."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from douane.errors import BadValue

from . import rows, values
from .database import Database
from .records import Task, TaskStatus, Verdict, task_of
from .schema import UNFINISHED, images, tasks

_SHOWN = or_(tasks.c.requested, tasks.c.outcome.is_not(None))
_STATUSES = {
    "pending": and_(UNFINISHED, tasks.c.step.in_(("waiting", "staged"))),
    "processing": and_(UNFINISHED, tasks.c.step.in_(("receiving", "publishing"))),
    "success": tasks.c.outcome == "accepted",
    "failure": and_(tasks.c.outcome.is_not(None), tasks.c.outcome != "accepted"),
}


SEARCHED = 10_000
"""Tasks in which a search looks for text: no index helps it."""


ENDS_AT_ONCE = 1000


class TaskEnd(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a task has ended, and how."""

    outcome: Verdict | Literal["cancelled"] | None
    """None while there is no verdict; that on staged bytes counts."""

    code: str | None
    message: str | None
    image_status: str


class TaskList:
    """The queries of tasks; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def unfinished(self) -> list[Task]:
        """The running imports of the command line, oldest first: they have no lease, and the claim on its staged bytes
        shows whether a process lives. A server's tasks are not among them."""
        alone = [UNFINISHED, tasks.c.worker.is_(None), tasks.c.step.in_(("receiving", "publishing"))]
        with self._database.read() as connection:
            query = select(tasks).where(*alone).order_by(tasks.c.created_at, tasks.c.id)
            return [task_of(row._asdict()) for row in connection.execute(query)]

    def ends(self, ids: Sequence[str]) -> dict[str, TaskEnd]:
        """The ends of the tasks `ids`, as far as they exist: in one query, for many who wait."""
        columns = (tasks.c.id, tasks.c.outcome, tasks.c.step, tasks.c.verdict, tasks.c.code, tasks.c.message)
        ended: dict[str, TaskEnd] = {}
        with self._database.read() as connection:
            for start in range(0, len(ids), ENDS_AT_ONCE):
                some = tasks.c.id.in_(ids[start : start + ENDS_AT_ONCE])
                query = select(*columns, images.c.status).join(images, images.c.id == tasks.c.image_id).where(some)
                for row in connection.execute(query):
                    staged: Verdict | None = (row.verdict or "undecided") if row.step == "staged" else None
                    status = "uploading" if row.step == "staged" else row.status
                    ended[row.id] = TaskEnd(
                        outcome=row.outcome or staged, code=row.code, message=row.message, image_status=status
                    )
        return ended

    def task(self, task_id: str) -> Task:
        """The task with this id. Raises NotFound."""
        with self._database.read() as connection:
            return rows.task(connection, task_id)

    def tasks(
        self, image_id: str, requested_only: bool = True, *, limit: int | None = None, marker: str | None = None
    ) -> list[Task]:
        """The tasks of the image, oldest first; with `requested_only` without that of a stage whose import nobody
        requested yet. With a `limit`, the last ones: of all, or of those before the task `marker`.

        Raises BadValue if the marker is no task of the image.
        """
        where = [tasks.c.image_id == image_id, *([_SHOWN] if requested_only else [])]
        with self._database.read() as connection:
            if marker is not None:
                of_marker = select(tasks.c.token).where(tasks.c.id == marker, tasks.c.image_id == image_id)
                token = connection.execute(of_marker).scalar()
                if token is None:
                    raise BadValue(f"the marker {marker!r:.80} is no task of this image")
                where.append(tasks.c.token < token)
            # The tokens alone are sorted, without the plans and reports.
            last = select(tasks.c.token).where(*where).order_by(tasks.c.token.desc()).limit(limit).subquery()
            of_page = and_(tasks.c.image_id == image_id, tasks.c.token.in_(select(last.c.token)))
            query = select(tasks).where(of_page).order_by(tasks.c.token)
            return [task_of(row._asdict()) for row in connection.execute(query)]

    def last_tasks(self, image_ids: Iterable[str]) -> dict[str, Task]:
        """The last task of each image that has one, by the id of the image; as `tasks` they are requested or have
        ended. Without their plans and reports."""
        ids = list(image_ids)
        columns = [column for column in tasks.c if column.name not in ("plan", "report")]
        last: dict[str, Task] = {}
        with self._database.read() as connection:
            for start in range(0, len(ids), rows.BATCH):
                of_images = and_(tasks.c.image_id.in_(ids[start : start + rows.BATCH]), _SHOWN)
                newest = select(tasks.c.image_id, func.max(tasks.c.token).label("token")).where(of_images)
                greatest = newest.group_by(tasks.c.image_id).subquery()
                is_last = and_(tasks.c.image_id == greatest.c.image_id, tasks.c.token == greatest.c.token)
                for row in connection.execute(select(*columns).join(greatest, is_last)):
                    last[row.image_id] = task_of({**row._asdict(), "plan": None, "report": None})
        return last

    def all_tasks(
        self,
        *,
        status: TaskStatus | None = None,
        method: str | None = None,
        owner: str | None = None,
        image_id: str | None = None,
        outcome: str | None = None,
        code: str | None = None,
        search: str | None = None,
        descending: bool = True,
        limit: int | None = 25,
        marker: str | None = None,
        requested_only: bool = True,
    ) -> list[Task]:
        """A page of the tasks of all images in the order of their creation, by default the newest first; without their
        plans and reports. `marker` is the id of the last task of the page before.

        `search` is text in the name of the image, or in the message, or the beginning of the id of the task, its image
        or its request. It is looked for in the :data:`SEARCHED` tasks after the marker, in the order of the page.

        Raises BadValue: for an unknown status, or a marker that is no task.
        """
        where = [_SHOWN] if requested_only else []
        if status is not None:
            where.append(_STATUSES[values.one_of("the status", status, _STATUSES)])
        for column, value in (
            (tasks.c.method, method),
            (tasks.c.owner, owner),
            (tasks.c.image_id, image_id),
            (tasks.c.outcome, outcome),
            (tasks.c.code, code),
        ):
            if value is not None:
                where.append(column == values.text(f"the filter {column.name}", value))
        values.optional_number("the limit", limit)
        columns = [column for column in tasks.c if column.name not in ("plan", "report")]
        with self._database.read() as connection:
            if marker is not None:
                row = connection.execute(select(tasks.c.created_at).where(tasks.c.id == marker)).first()
                if row is None:
                    raise BadValue(f"the marker {marker!r:.80} is no task that is listed here")
                time = tasks.c.created_at
                beyond = (time < row.created_at, tasks.c.id < marker)
                if not descending:
                    beyond = (time > row.created_at, tasks.c.id > marker)
                where.append(or_(beyond[0], and_(time == row.created_at, beyond[1])))
            order = [column.desc() if descending else column.asc() for column in (tasks.c.created_at, tasks.c.id)]
            query = select(*columns).where(*where).order_by(*order).limit(limit)
            if search is not None:
                scope = select(tasks.c.id).where(*where).order_by(*order).limit(SEARCHED).subquery()
                query = query.where(tasks.c.id.in_(select(scope.c.id)), _holds(values.text("the search", search)))
            return [task_of({**row._asdict(), "plan": None, "report": None}) for row in connection.execute(query)]


def _holds(text: str) -> ColumnElement[bool]:
    named = exists().where(images.c.id == tasks.c.image_id, images.c.name.icontains(text, autoescape=True))
    begins = (column.startswith(text, autoescape=True) for column in (tasks.c.id, tasks.c.image_id, tasks.c.request_id))
    return or_(named, tasks.c.message.icontains(text, autoescape=True), *begins)
