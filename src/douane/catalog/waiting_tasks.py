"""The oldest task that a worker may claim.

The statements are made once: with SQLAlchemy, making one takes longer than the database needs for it.
"""

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, and_, bindparam, literal_column, or_, select

from .schema import WAITING, images, tasks
from .server import PREPARED
from .workers import is_halted

LOOKED_AT = (16, 256)
"""Waiting tasks of which one is taken. At first few: with 128, PostgreSQL read the whole table of 10,000 images, which
took 1.1 ms. If others have just taken all of those, more than there are claims at the same moment."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which tasks a worker may claim."""

    worker: str
    methods: Sequence[str] | None = None
    task_id: str | None = None
    unfit: frozenset[str] = frozenset()
    """Needs that the worker cannot meet."""


class Claimable(msgspec.Struct, frozen=True):
    """What a claim needs of a task; the fields are columns."""

    id: str
    image_id: str
    token: int
    attempts: int
    needs: str | None
    verdict: str | None
    declared: str | None


COLUMNS = [tasks.c[name] for name in Claimable.__struct_fields__]


def oldest(connection: Connection, wanted: Wanted) -> Claimable | None:
    """The oldest of the tasks, and its image's row locked; passed over are images that another worker is just taking.

    SQLite has one writer at a time.
    """
    parameters = _parameters(wanted)
    for count in LOOKED_AT:
        row = connection.execute(_oldest(count, *_restrictions(wanted)), parameters).first()
        if row is not None:
            return Claimable(*row)
    return None


def one_of_oldest(connection: Connection, wanted: Wanted, count: int) -> str | None:
    """The id of one of the `count` oldest tasks, at random; None if none waits."""
    ids: list[str] = list(connection.execute(_first(count, *_restrictions(wanted)), _parameters(wanted)).scalars())
    return random.choice(ids) if ids else None


def _restrictions(wanted: Wanted) -> tuple[bool, bool, bool]:
    return wanted.methods is not None, wanted.task_id is not None, bool(wanted.unfit)


def _parameters(wanted: Wanted) -> dict[str, Any]:
    parameters: dict[str, Any] = {"by_worker": wanted.worker}
    if wanted.methods is not None:
        parameters["methods"] = list(wanted.methods)
    if wanted.task_id is not None:
        parameters["task_id"] = wanted.task_id
    if wanted.unfit:
        parameters["unfit"] = sorted(wanted.unfit)
    return parameters


@cache
def _first(count: int, by_method: bool, by_id: bool, by_needs: bool) -> Select[Any]:
    statement = select(tasks.c.id).where(WAITING, ~is_halted(bindparam("by_worker")))
    if by_method:
        statement = statement.where(tasks.c.method.in_(bindparam("methods", expanding=True)))
    if by_id:
        statement = statement.where(tasks.c.id == bindparam("task_id"))
    if by_needs:
        others = tasks.c.needs.not_in(bindparam("unfit", expanding=True))
        statement = statement.where(or_(tasks.c.needs.is_(None), others))
    return statement.order_by(tasks.c.created_at).limit(literal_column(str(count)))


@cache
def _oldest(count: int, by_method: bool, by_id: bool, by_needs: bool) -> Select[Any]:
    # Of the first, by an index: a join of all that waits with the images took 60 ms where 10,000 waited.
    first = _first(count, by_method, by_id, by_needs).subquery()
    owned = and_(images.c.id == tasks.c.image_id, images.c.task_id == tasks.c.id)
    joined = select(*COLUMNS).join(first, first.c.id == tasks.c.id).join(images, owned)
    oldest = joined.order_by(tasks.c.created_at).limit(literal_column("1"))
    return oldest.with_for_update(skip_locked=True, of=images).execution_options(**PREPARED)
