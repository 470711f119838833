"""The reports of imports that were let in, which live as long as their images.

A task expires, and what its import said of the bytes is needed later: by the bill of materials, by the evidence, and by
`douane rescan`, which would have to read every image again. So at the end of a task its report moves into the table
`reports`. It does not stay in `tasks`: their lists are read in the order of time, and would pass over all of these.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    delete,
    insert,
    literal,
    select,
    union_all,
    update,
)

from douane.declared import DeclaredImage

from . import rows, values
from .clock import time_in
from .database import Database
from .needs import COPY
from .schema import images, reports, tasks
from .states import READABLE

CHECK_SECONDS = 7 * 86400.0
"""Until a report is looked at again, in case an older release has deleted its image, which knows of no reports."""

CHECKED_AT_ONCE = 1000

_ACCEPTED = and_(tasks.c.outcome == "accepted", tasks.c.report.is_not(None))


class AcceptedImport(msgspec.Struct, frozen=True, kw_only=True):
    """What is on record of an import that was let in, or of a copying for which a transform made a variant."""

    id: str
    """Of the task, which may have expired."""

    image_id: str
    report: Any
    declared: DeclaredImage | None
    """The image's facts when the worker began."""

    created_at: str


class KeptReports:
    """The operations on these reports; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def accepted_imports(self, image_ids: Iterable[str]) -> dict[str, list[AcceptedImport]]:
        """The imports that were let in of each image that has such, oldest first, by the id of the image."""
        ids = list(image_ids)
        accepted: dict[str, list[AcceptedImport]] = {}
        with self._database.read() as connection:
            for start in range(0, len(ids), rows.BATCH):
                batch = ids[start : start + rows.BATCH]
                columns = ("image_id", "report", "declared", "created_at", "token")
                recent = select(tasks.c.id, *(tasks.c[name] for name in columns))
                earlier = select(reports.c.task_id, *(reports.c[name] for name in columns))
                query = union_all(
                    recent.where(tasks.c.image_id.in_(batch), _ACCEPTED), earlier.where(reports.c.image_id.in_(batch))
                )
                for row in connection.execute(query.order_by("token")):
                    accepted.setdefault(row.image_id, []).append(_import_of(row))
        return accepted

    def forget_deleted_reports(self) -> int:
        """Remove those of the reports that are to be looked at again whose images are deleted; how many there were.

        1,000 reports at most are looked at, so that the time does not grow with the catalog.
        """
        with self._database.write() as connection:
            due = reports.c.check_at <= time_in(connection)
            query = select(reports.c.image_id).where(due).order_by(reports.c.check_at).limit(CHECKED_AT_ONCE)
            image_ids = sorted(set(connection.execute(query).scalars()))
            if not image_ids:
                return 0
            of_images = reports.c.image_id.in_(image_ids)
            deleted = select(images.c.id).where(images.c.id.in_(image_ids), images.c.status == "deleted")
            gone = list(connection.execute(deleted).scalars())
            connection.execute(update(reports).where(of_images).values(check_at=time_in(connection, CHECK_SECONDS)))
            return connection.execute(delete(reports).where(reports.c.image_id.in_(gone))).rowcount if gone else 0


def move_reports(connection: Connection, expired: ColumnElement[bool], limit: int) -> list[str]:
    """The ids of the first `limit` tasks that are `expired`: what they say of images that are not deleted is kept.

    The caller removes the tasks in the same transaction. Passed over are tasks whose images somebody is just changing:
    one that is deleted meanwhile would leave a report. On two nodes of a cluster the foreign key makes both conflict.
    """
    query = select(tasks.c.id, tasks.c.image_id, tasks.c.method, images.c.status)
    oldest = query.join(images, images.c.id == tasks.c.image_id).where(expired).order_by(tasks.c.expires_at)
    ended = connection.execute(oldest.limit(limit).with_for_update(skip_locked=True, of=images)).all()
    readable = [task for task in ended if task.status in READABLE]
    if readable:
        columns = ("image_id", "report", "declared", "created_at", "token")
        variants = case((tasks.c.method == COPY, tasks.c.variants))
        check_at = literal(time_in(connection, CHECK_SECONDS))
        source = select(tasks.c.id, *(tasks.c[name] for name in columns), variants, check_at)
        kept = source.where(tasks.c.id.in_([task.id for task in readable]), _ACCEPTED)
        connection.execute(insert(reports).from_select(["task_id", *columns, "variants", "check_at"], kept))
        _forget_superseded(connection, sorted({task.image_id for task in readable if task.method == COPY}))
    return [task.id for task in ended]


def forget_reports(connection: Connection, image_id: str) -> None:
    """Remove the reports of an image that is deleted in this transaction."""
    connection.execute(delete(reports).where(reports.c.image_id == image_id))


def _forget_superseded(connection: Connection, image_ids: Sequence[str]) -> None:
    """Remove the reports of copies that say nothing: no variant was made, or all of them were made again. An image may
    be copied and removed any number of times."""
    for image_id in image_ids:
        of_copies = and_(reports.c.image_id == image_id, reports.c.variants.is_not(None))
        query = select(reports.c.task_id, reports.c.variants).where(of_copies).order_by(reports.c.token.desc())
        again: set[str] = set()
        superseded = []
        for copy in connection.execute(query).all():
            stores = set(values.from_json(copy.variants))
            if stores <= again:
                superseded.append(copy.task_id)
            again |= stores
        if superseded:
            connection.execute(delete(reports).where(of_copies, reports.c.task_id.in_(superseded)))


def _import_of(row: Row[Any]) -> AcceptedImport:
    return AcceptedImport(
        id=row.id,
        image_id=row.image_id,
        report=values.from_json(row.report),
        declared=None if row.declared is None else msgspec.json.decode(row.declared, type=DeclaredImage),
        created_at=row.created_at,
    )
