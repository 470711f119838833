"""The states of an image, the steps between them, and the one statement that takes a step.

An image is always in one of six states. These are all the steps:

===========  ===========  ================  ==================================================================
from         to           step              and also
===========  ===========  ================  ==================================================================
(nothing)    queued       create_image
queued       importing    begin_import      a new task owns the image, with a token greater than any before;
                                            the last failure is forgotten
importing    importing    take_over         the old token must fit; a greater token replaces it
importing    active       activate          task and token must fit, the task is at "publishing"; size,
                                            digests, formats and plugins' properties come from the task
importing    queued       fail (requeue)    task and token must fit; code, message and failed stores are set
importing    deleted      fail (remove)     as above
importing    deleted      delete            the task ends as "cancelled": its worker's next step is refused
queued       deleted      delete
uploading    deleted      delete
active       deleted      delete
deactivated  deleted      delete
active       deactivated  deactivate
deactivated  active       reactivate
===========  ===========  ================  ==================================================================

No step leads into "uploading" yet: it is for the Image API, where bytes arrive before their import is requested.
"deleted" is final: the row stays, so that an id is never used twice, and so that left-over bytes are known to belong to
no image.

The step "delete" is refused while the image is protected; the end of an import is not.

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
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, update

from douane.errors import CatalogError, Conflict, NotFound, Protected

from .records import now
from .schema import images, tasks

LIVE = ("queued", "uploading", "importing", "active", "deactivated")


class Step(NamedTuple):
    """A row of the tables: the step in words, its start states, its end state (None: it stays), whether a task must own
    the image, whether protection refuses the step, and whether the image counts as updated."""

    doing: str
    start: tuple[str, ...]
    end: str | None
    by_task: bool = False
    unprotected: bool = False
    updates: bool = True


BEGIN_IMPORT = Step("start an import of", ("queued",), "importing")
TAKE_OVER = Step("take over the import of", ("importing",), "importing", by_task=True)
ACTIVATE = Step("activate", ("importing",), "active", by_task=True)
REQUEUE = Step("requeue", ("importing",), "queued", by_task=True)
REMOVE = Step("remove", ("importing",), "deleted", by_task=True)
DELETE = Step("delete", LIVE, "deleted", unprotected=True)
DEACTIVATE = Step("deactivate", ("active",), "deactivated")
REACTIVATE = Step("reactivate", ("deactivated",), "active")
EDIT = Step("edit", LIVE, None)
EDIT_FORMAT = Step("change the format of", ("queued",), None)
SHARE = Step("change the members of", LIVE, None, updates=False)
COPY = Step("add a copy of", ("active", "deactivated"), None)
FORGET_COPY = Step("remove a copy of", ("active", "deactivated", "deleted"), None)


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
    statement = update(images).where(images.c.id == image_id, images.c.status.in_(what.start))
    if owner is not None:
        statement = statement.where(images.c.task_id == owner.task_id, images.c.token == owner.token)
    if what.unprotected:
        statement = statement.where(images.c.protected.is_(False))
    changes = dict(values, updated_at=now() if what.updates else images.c.updated_at)
    if what.end is not None:
        changes["status"] = what.end
        if what.end != "importing":
            changes["task_id"] = None
    if connection.execute(statement.values(changes)).rowcount != 1:
        raise _refusal(connection, image_id, what, owner)


def own_task(
    connection: Connection, owner: Owner, values: Mapping[str, Any], *, doing: str, at_step: str | None = None
) -> None:
    """Change columns of a running task that `owner` holds, in the caller's transaction.

    Raises NotFound, or Conflict (``lost-task``, or ``wrong-state`` if the task is not at the step `at_step`).
    """
    statement = update(tasks).where(
        tasks.c.id == owner.task_id, tasks.c.token == owner.token, tasks.c.outcome.is_(None)
    )
    if at_step is not None:
        statement = statement.where(tasks.c.step == at_step)
    if connection.execute(statement.values(dict(values, updated_at=now()))).rowcount != 1:
        raise lost(connection, owner, doing, at_step)


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
    row = connection.execute(select(images.c.status, images.c.protected).where(images.c.id == image_id)).first()
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
    return Conflict(
        f"cannot {what.doing} image {image_id}: it is {actual}, and must be {expected}",
        actual=actual,
        expected=expected,
    )
