"""What a project uses, and its quotas of uploads. The figures are Glance's (``glance/quota/keystone.py``)."""

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, func, or_, select

from douane.errors import OverQuota
from douane.units import number_of

from . import values
from .database import Database
from .holding import hold_quotas
from .open_source import BEGINNING, is_open
from .query import UploadQuotas
from .records import Task
from .schema import NOT_DELETED, UNFINISHED, images, stores, tasks
from .staged_source import stores_of

_UNSTAGED = ("upload", "copy-image", "file")


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What the images of a project take."""

    count: int
    """Images that are not deleted."""

    size_total: int
    """Bytes: the sizes of all copies in all stores."""

    staged_total: int
    """Bytes that are staged, or announced, for imports that have not ended: in each store in which they are staged."""

    uploading: int
    """Images that bytes are received or copied for, or whose staged bytes are kept."""


class ProjectUsage:
    """The usage of projects; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def usage(self, owner: str | None) -> Usage:
        """What the images of the project `owner` take; None: those of no project."""
        values.optional_text("the owner", owner)
        with self._database.read() as connection:
            staged, uploading = _unfinished(connection, owner)
            return Usage(
                count=count(connection, owner),
                size_total=_size_total(connection, owner),
                staged_total=staged,
                uploading=uploading,
            )


def count(connection: Connection, owner: str | None) -> int:
    """The images of the project that are not deleted."""
    return _number(connection, select(func.count()).select_from(images).where(_mine(owner)))


def check(connection: Connection, task: Task, quotas: UploadQuotas | None) -> None:
    """Raise OverQuota if the project of the task's image is over a quota, now that the task has begun.

    Bytes of an unknown number need room for at least one.
    """
    if quotas is None:
        return
    owner = connection.execute(select(images.c.owner).where(images.c.id == task.image_id)).scalar()
    hold_quotas(connection, owner)
    # A copy has the size of its image.
    size = connection.execute(select(images.c.size).where(images.c.id == task.image_id)).scalar() or task.size
    announced = task.total
    if is_open(task):  # its client may announce nothing, or too little
        announced = max(task.done, task.total or 0) or None
    size = announced if size is None else size
    staged, uploading = _unfinished(connection, owner)
    if task.step != "done":
        _check("uploads at once", uploading, quotas.uploading)
        added = 1 if size is None else size
        if quotas.size_total is not None and (task.requested or task.method == "upload"):
            _check("bytes of images", _size_total(connection, owner) + added * len(task.stores), quotas.size_total)
        if task.method not in _UNSTAGED or is_open(task):
            _check("bytes of staged data", staged + (1 if size is None else 0), quotas.staged_total)


def check_count(connection: Connection, owner: str | None, quota: int | None) -> None:
    """Raise OverQuota if the project has more images than its quota allows, now that another was made."""
    if quota is not None:
        hold_quotas(connection, owner)
        # No more are read than the quota allows: at each new image, and while other new images of the project wait.
        some = select(images.c.id).where(_mine(owner)).limit(quota + 1).subquery()
        if _number(connection, select(func.count()).select_from(some)) > quota:
            raise OverQuota(f"the project has {number_of(quota, 'image')}, the most that it may have")


def _check(what: str, used: int, quota: int | None) -> None:
    if quota is not None and used > quota:
        raise OverQuota(f"the project would have {used} {what}; at most {quota} are allowed")


def _mine(owner: str | None) -> ColumnElement[bool]:
    return and_(images.c.owner.is_(None) if owner is None else images.c.owner == owner, NOT_DELETED)


def _size_total(connection: Connection, owner: str | None) -> int:
    size = func.coalesce(stores.c.size, images.c.size)
    total = select(func.sum(size)).select_from(images.join(stores, stores.c.image_id == images.c.id))
    return _number(connection, total.where(_mine(owner)))


def _unfinished(connection: Connection, owner: str | None) -> tuple[int, int]:
    """Bytes that are staged, and the number of unfinished tasks."""
    announced = func.coalesce(tasks.c.total, 0)
    received = case((tasks.c.done > announced, tasks.c.done), else_=announced)
    is_kept = func.coalesce(tasks.c.source, "").startswith(BEGINNING, autoescape=True)
    size = case((and_(tasks.c.method.in_(_UNSTAGED), ~is_kept), 0), else_=func.coalesce(tasks.c.size, received))
    matching = select(func.coalesce(func.sum(size), 0), func.count()).select_from(
        tasks.join(images, images.c.task_id == tasks.c.id)
    )
    mine = and_(UNFINISHED, _mine(owner))
    staged, uploading = connection.execute(matching.where(mine)).one()
    return int(staged) + _in_further_stores(connection, size, mine), int(uploading)


def _in_further_stores(connection: Connection, size: ColumnElement[int], mine: ColumnElement[bool]) -> int:
    """Bytes of copies that are staged, or announced, beside the first."""
    # The lists are JSON text, which the databases read in different ways: they are counted here, where there are any.
    has_several = or_(tasks.c.stores.contains(","), tasks.c.source.contains('"stores":'))
    rows = select(size.label("size"), tasks.c.step, tasks.c.requested, tasks.c.stores, tasks.c.source).select_from(
        tasks.join(images, images.c.task_id == tasks.c.id)
    )
    return sum(row.size * (_copies(row) - 1) for row in connection.execute(rows.where(mine, has_several)))


def _copies(row: Row[Any]) -> int:
    holding = [] if row.source is None else stores_of(values.from_json(row.source))
    receives = not row.requested and row.step != "staged"
    return len(holding) or (len(values.from_json(row.stores)) if receives else 1)


def _number(connection: Connection, query: Select[Any]) -> int:
    return int(connection.execute(query).scalar() or 0)
