"""The states of an image, the steps between them, and the one statement that takes a step.

An image is always in one of six states. These are all the steps:

===========  ===========  ================  ==================================================================
from         to           step              and also
===========  ===========  ================  ==================================================================
(nothing)    queued       create_image
queued       importing    begin_import      a new task owns the image, with a token greater than any before;
                                            the last failure is forgotten
queued       importing    begin_upload      as above, for bytes that are imported as they arrive (``upload``)
queued       uploading    begin_upload      as above, for bytes whose import is requested later (``glance-direct``)
queued       importing    begin_queued      as above; the task waits for a worker
uploading    importing    request_import    the task is at "staged": it is requested now, and goes to "publishing"
                                            (its verdict holds) or to "waiting" (to be run again, or copied)
uploading    queued       request_import    the staged bytes were refused; code, message and failed stores are set
importing    active       activate          task and token must fit, the task is at "publishing"; size,
                                            digests, formats and plugins' properties come from the task
uploading,   queued       fail (requeue)    task and token must fit; code, message and failed stores are set
importing
importing    deleted      fail (remove)     as above
uploading,   queued       cancel            the task is not at "publishing"; it ends as "cancelled": its worker's
importing                                   next step is refused
uploading,   deleted      delete            as above, at every step of the task
importing
queued       deleted      delete
active       deleted      delete
deactivated  deleted      delete
active       deactivated  deactivate
deactivated  active       reactivate
===========  ===========  ================  ==================================================================

"deleted" is final: the row stays, so that an id is never used twice, and so that left-over bytes are known to belong to
no image.

The step "delete" is refused while the image is protected; the end of an import is not.

A task of an image goes through these steps. Where a worker is named, it holds a lease: others leave the task alone
until the lease has ended, on the database's clock (`leases.py`):

==========  ==========  =====================  ===================================================================
from        to          step                   and also
==========  ==========  =====================  ===================================================================
(nothing)   receiving   begin_import,          for the command line without a worker, for a server with one
                        begin_upload
(nothing)   waiting     begin_queued
waiting     receiving   claim                  a worker, a greater token, a new key for the staged bytes
receiving   receiving   take                   another worker, a greater token, a new key for the staged bytes
receiving   (stays)     open_upload            the client of an upload holds it, until its bytes come or time is over
receiving   (stays)     take_upload            an open upload; whoever holds it, a greater token
receiving,  (stays)     take_over              the lease has ended, or there is none; a greater token
publishing
receiving   waiting     release                there is a source from which another worker can begin
receiving   staged      record_staged          verdict and results; no worker any more
receiving   publishing  ready_to_publish       results: from here, any worker can complete the import
staged      publishing, request_import         a greater token
            waiting
(any)       done        activate, fail,        with the outcome
                        cancel, finish_copy,
                        delete
==========  ==========  =====================  ===================================================================

An image that is being copied to further stores (begin_queued of ``copy-image``) has a task, too, and stays active.

These steps keep the state. They hold the image's row until the end of the transaction, so that what they read with it
cannot change in between:

=====================  =============================  ==========================================================
step                   legal in                       and also
=====================  =============================  ==========================================================
edit                   every state but "deleted"      fields, tags and the tenant's properties, all or none
edit of a format       queued                         later, the formats are a result of the import
add_member             every state but "deleted"      the visibility must be "shared"
answer_member,         every state but "deleted"      the member must exist
remove_member
add_store              active, deactivated            the copy is complete in that store
remove_store           active, deactivated, deleted   not the last copy, unless the image is deleted
=====================  =============================  ==========================================================

Every change of state is one ``UPDATE … WHERE id AND status [AND task_id AND token]`` whose count of rows
decides. A process that dies before the commit has changed nothing; the token of a process that was too slow is void,
so it changes nothing either.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Update, bindparam, select, update

from douane.errors import CatalogError, Conflict, NotFound, Protected

from . import rows
from .clock import database_time
from .records import Task, now, task_of
from .schema import images, tasks
from .server import PREPARED

LIVE = ("queued", "uploading", "importing", "active", "deactivated")
READABLE = ("active", "deactivated")
"""The states of an image that has bytes."""


class Step(NamedTuple):
    """A row of the tables: the step in words, its start states, and its end state (None: it stays)."""

    doing: str
    start: tuple[str, ...]
    end: str | None
    by_task: bool = False
    """A task must own the image."""

    unowned: bool = False
    """No task may own the image."""

    frees: bool = False
    """No task owns the image afterwards."""

    unprotected: bool = False
    """Protection refuses the step."""

    updates: bool = True
    """The image counts as updated."""


_OWNED = ("uploading", "importing", *READABLE)

BEGIN_IMPORT = Step("start an import of", ("queued",), "importing")
BEGIN_STAGE = Step("stage data for", ("queued",), "uploading")
BEGIN_COPY = Step("copy", ("active",), None, unowned=True, updates=False)
TAKE_OVER = Step("take over the import of", _OWNED, None, by_task=True, updates=False)
RECORD_STAGED = Step("record the staged data of", ("uploading",), None, by_task=True)
LOOK_AT_STAGED = Step("import the staged data of", ("uploading",), None, updates=False)
REQUEST_IMPORT = Step("import the staged data of", ("uploading",), "importing", by_task=True)
ACTIVATE = Step("activate", ("importing",), "active", by_task=True, frees=True)
REQUEUE = Step("requeue", ("uploading", "importing"), "queued", by_task=True, frees=True)
REMOVE = Step("remove", ("importing",), "deleted", by_task=True, frees=True)
END_COPY = Step("end the copying of", READABLE, None, by_task=True, frees=True)
DELETE = Step("delete", LIVE, "deleted", frees=True, unprotected=True)
DEACTIVATE = Step("deactivate", ("active",), "deactivated")
REACTIVATE = Step("reactivate", ("deactivated",), "active")
EDIT = Step("edit", LIVE, None)
EDIT_FORMAT = Step("change the format of", ("queued",), None)
SHARE = Step("change the members of", LIVE, None, updates=False)
COPY = Step("add a copy of", READABLE, None)
FORGET_COPY = Step("remove a copy of", (*READABLE, "deleted"), None)


def end_of(task: Task) -> Step:
    """The step of the image at the end of a task that was not accepted."""
    if task.method == "copy-image":
        return END_COPY
    return REQUEUE if task.on_failure == "requeue" else REMOVE


class Owner(NamedTuple):
    """A worker's claim: its task, and its token."""

    task_id: str
    token: int


def step(
    connection: Connection, image_id: str, what: Step, values: Mapping[str, Any], owner: Owner | None = None
) -> None:
    """Take one step of the table on the image, with `values` for other columns, in the caller's transaction.

    Raises NotFound, Protected, or Conflict with the actual and the expected state; then nothing was changed.
    """
    assert what.by_task == (owner is not None), "a step that a task takes needs its owner, and no other step has one"
    parameters: dict[str, Any] = {"of_image": image_id}
    if owner is not None:
        parameters |= {"of_task": owner.task_id, "of_token": owner.token}
    changes = dict(values, updated_at=now() if what.updates else images.c.updated_at)
    if what.end is not None:
        changes["status"] = what.end
    if what.end == "queued":
        changes["size"] = None  # of staged bytes
    if what.frees:
        changes["task_id"] = None
    if connection.execute(_update_of_image(what).values(changes), parameters).rowcount != 1:
        raise _refusal(connection, image_id, what, owner)


@cache
def _update_of_image(what: Step) -> Update:
    statement = update(images).where(images.c.id == bindparam("of_image"), images.c.status.in_(what.start))
    if what.by_task:
        statement = statement.where(images.c.task_id == bindparam("of_task"), images.c.token == bindparam("of_token"))
    if what.unowned:
        statement = statement.where(images.c.task_id.is_(None))
    if what.unprotected:
        statement = statement.where(images.c.protected.is_(False))
    return statement.execution_options(**PREPARED)


def own_task(
    connection: Connection, owner: Owner, values: Mapping[str, Any], *, doing: str, at_step: str | None = None
) -> None:
    """Change columns of a running task that `owner` holds, in the caller's transaction.

    The time of the change is the database's, with which ages of tasks are compared: a machine may be wrong by days.
    Raises NotFound, or Conflict (``lost-task``, or ``wrong-state`` if the task is not at the step `at_step`).
    """
    if connection.execute(*_change_of_task(owner, values, at_step)).rowcount != 1:
        raise lost(connection, owner, doing, at_step)


def changed_task(
    connection: Connection, owner: Owner, values: Mapping[str, Any], *, doing: str, at_step: str | None = None
) -> Task:
    """As `own_task`, and the task as it is then: in one statement where the database has such, as all but MariaDB."""
    if not connection.dialect.update_returning:
        own_task(connection, owner, values, doing=doing, at_step=at_step)
        return rows.task(connection, owner.task_id)
    statement, parameters = _change_of_task(owner, values, at_step)
    row = connection.execute(statement.returning(tasks), parameters).first()
    if row is None:
        raise lost(connection, owner, doing, at_step)
    return task_of(row._asdict())


def _change_of_task(owner: Owner, values: Mapping[str, Any], at_step: str | None) -> tuple[Update, dict[str, Any]]:
    parameters: dict[str, Any] = {"of_task": owner.task_id, "of_token": owner.token}
    if at_step is not None:
        parameters["at_step"] = at_step
    return _update_of_task(at_step is not None).values(dict(values, updated_at=database_time())), parameters


@cache
def _update_of_task(by_step: bool) -> Update:
    mine = (tasks.c.id == bindparam("of_task"), tasks.c.token == bindparam("of_token"), tasks.c.outcome.is_(None))
    statement = update(tasks).where(*mine).execution_options(**PREPARED)
    return statement.where(tasks.c.step == bindparam("at_step")) if by_step else statement


def lost(connection: Connection, owner: Owner, doing: str, at_step: str | None = None) -> NotFound | Conflict:
    """The error that says why `owner` may not change its task."""
    row = connection.execute(
        select(tasks.c.token, tasks.c.outcome, tasks.c.step).where(tasks.c.id == owner.task_id)
    ).first()
    if row is None:
        return NotFound(f"there is no import task {owner.task_id}")
    if row.outcome is not None:
        actual, why = row.outcome, f"it has ended ({row.outcome})"
    elif row.token != owner.token:
        actual, why = f"token {row.token}", "another worker has taken it over"
    else:
        return Conflict(
            f"cannot {doing} with import task {owner.task_id}: it is at the step {row.step}, and must be at {at_step}",
            actual=row.step,
            expected=str(at_step),
        )
    return Conflict(
        f"cannot {doing} with import task {owner.task_id}: {why}; stop, and discard what was received",
        code="lost-task",
        actual=actual,
        expected=f"token {owner.token}",
    )


def _refusal(connection: Connection, image_id: str, what: Step, owner: Owner | None) -> CatalogError:
    row = connection.execute(
        select(images.c.status, images.c.protected, images.c.task_id).where(images.c.id == image_id)
    ).first()
    if row is None:
        return NotFound(f"there is no image {image_id}")
    actual = row.status
    if what.unprotected and row.protected and actual in what.start:
        return Protected(f"cannot {what.doing} image {image_id}: it is protected; remove the protection first")
    expected = " or ".join(what.start)
    if owner is not None:
        why = lost(connection, owner, what.doing)
        if isinstance(why, NotFound) or why.code == "lost-task":
            return why
    if what.unowned and row.task_id is not None and actual in what.start:
        return Conflict(
            f"cannot {what.doing} image {image_id}: the task {row.task_id} works on it",
            actual="with a task",
            expected="without a task",
        )
    return Conflict(
        f"cannot {what.doing} image {image_id}: it is {actual}, and must be {expected}",
        actual=actual,
        expected=expected,
    )
