"""The beginning of every task: its row, its token, and the image's facts at that time."""

import hashlib
import uuid
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, bindparam, insert, select

from douane.declared import DeclaredImage
from douane.errors import Conflict

from . import rows, states, values
from .clock import LEASE_SECONDS, database_time
from .needs import needs_of
from .records import ImportRequest, Task, now, to_json
from .schema import images, properties, tasks
from .server import PREPARED
from .staged_keys import new_key
from .waking import wake_workers


class NewTask(msgspec.Struct, frozen=True, kw_only=True):
    """What a new task begins with; see :class:`~douane.catalog.Task`."""

    method: str
    plan: Any
    request: ImportRequest
    task_id: str = msgspec.field(default_factory=lambda: str(uuid.uuid4()))
    plan_digest: str | None = None
    on_failure: str = "requeue"
    step: str = "receiving"
    total: int | None = None
    requested: bool = True
    source: Any = None
    worker: str | None = None


def begin(connection: Connection, image_id: str, what: states.Step, new: NewTask) -> Task:
    """Let a new task own the image, with a token greater than any before; the last failure is forgotten.

    Raises NotFound, Conflict, BadValue.
    """
    time = now()
    plan = values.json("the plan", new.plan)
    row: dict[str, Any] = {
        "id": new.task_id,
        "image_id": image_id,
        "method": values.text("the import method", new.method, values.FORMAT_LIMIT),
        "plan": plan,
        "plan_digest": digest_of(plan, new.plan_digest),
        "on_failure": values.one_of("on_failure", new.on_failure, ("requeue", "remove")),
        "step": new.step,
        "done": 0,
        "total": values.optional_number("the total", new.total),
        "requested": new.requested,
        "source": None if new.source is None else values.json("the source", new.source),
        "attempts": 0,
        "created_at": time,
        "updated_at": time,
        **values.import_request(new.request),
    }
    if new.worker is not None:
        row.update(lease(new.worker), staged_key=new_key(connection))
    fresh = {
        "task_id": new.task_id,
        "token": images.c.token + 1,
        "code": None,
        "message": None,
        "failed_stores": None,
    }
    states.step(connection, image_id, what, fresh)
    token = connection.execute(select(images.c.token).where(images.c.id == image_id)).scalar_one()
    row.update(token=token, declared=declared(connection, image_id, new.request.roles))
    if new.step == "waiting":
        row["needs"] = needs_of(
            connection,
            image_id,
            method=new.method,
            source=new.source,
            stores=new.request.stores,
            requested=new.requested,
        )
    connection.execute(insert(tasks).values(row))
    if new.step == "waiting":
        wake_workers(connection)
    return rows.task(connection, new.task_id)


def lease(worker: str) -> dict[str, Any]:
    """The columns of a task that a worker owns from now on."""
    return {
        "worker": values.text("the worker", worker),
        "lease_until": database_time(LEASE_SECONDS),
    }


NO_LEASE: dict[str, Any] = {"worker": None, "lease_until": None}


def digest_of(plan: str, digest: str | None) -> str:
    """The plan's digest, by default that of its text."""
    if digest is not None:
        return values.text("the digest of the plan", digest)
    return hashlib.sha256(plan.encode()).hexdigest()


def declared(connection: Connection, image_id: str, roles: tuple[str, ...] = ()) -> str:
    """The image's facts now, as the column of a task has them."""
    lines = connection.execute(_FACTS, {"of_image": image_id}).all()
    name, disk_format, container_format, owner, _, _ = lines[0]
    facts = DeclaredImage(
        name=name,
        disk_format=disk_format,
        container_format=container_format,
        properties={key: value for *_, key, value in lines if key is not None},
        owner=owner,
        roles=tuple(values.words("a role", roles)),
    )
    return to_json(facts)


_FACTS = (
    select(images.c.name, images.c.disk_format, images.c.container_format, images.c.owner)
    .add_columns(properties.c.name, properties.c.value)
    .outerjoin_from(images, properties, and_(properties.c.image_id == images.c.id, properties.c.source == ""))
    .where(images.c.id == bindparam("of_image"))
    .order_by(properties.c.name)
    .execution_options(**PREPARED)
)
"""The facts of an image, and one of its tenant's properties in each row: one statement, made once."""


def current_task(connection: Connection, image_id: str) -> Task:
    """The task that owns the image. Raises Conflict if none does."""
    task_id = connection.execute(select(images.c.task_id).where(images.c.id == image_id)).scalar()
    if task_id is None:
        raise Conflict(f"no import of image {image_id} is running", actual="without a task", expected="with a task")
    return rows.task(connection, task_id)


def owner_of(task: Task) -> states.Owner:
    """The claim of the task's worker."""
    return states.Owner(task.id, task.token)
