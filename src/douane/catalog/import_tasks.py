"""Import tasks: begin, report progress, publish, fail, take over."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from douane.errors import CatalogError

from . import rows, states, values
from .database import Database
from .images import insert_image
from .records import COMMAND_LINE, Image, ImportRequest, Task, now, task_of
from .schema import images, tasks
from .states import Owner

_FAILURES = ("refused", "undecided", "cancelled")


class ImportTasks:
    """The operations on import tasks; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def begin_import(
        self,
        image_id: str,
        *,
        method: str,
        plan: Any,
        on_failure: str,
        total: int | None = None,
        request: ImportRequest = COMMAND_LINE,
    ) -> Task:
        """Start an import of a queued image: a new task with a new token owns it from now on.

        `plan` is the exact plan, as JSON; `on_failure` is "requeue" or "remove"; `total` is the announced size in
        bytes, if known. Of several concurrent calls one wins. Raises NotFound, Conflict.
        """
        with self._database.write() as connection:
            return _begin(connection, image_id, str(uuid.uuid4()), method, plan, on_failure, total, request)

    def begin_new_import(
        self,
        *,
        task_id: str,
        method: str,
        plan: Any,
        on_failure: str,
        total: int | None = None,
        name: str | None = None,
        disk_format: str | None = None,
        container_format: str | None = None,
        properties: Mapping[str, str] | None = None,
        owner: str | None = None,
        visibility: str = "private",
        request: ImportRequest = COMMAND_LINE,
    ) -> tuple[Image, Task]:
        """Create an image and begin its import in one step: the image is never merely queued.

        `task_id` is a UUID of the caller, so that bytes can be staged under it before the task exists. Without another
        `visibility` only the owner sees the image, and no project if there is no owner. The other arguments are those
        of `create_image` and `begin_import`. Raises Conflict (``exists``), BadValue.
        """
        with self._database.write() as connection:
            image = insert_image(
                connection,
                {
                    "name": name,
                    "disk_format": disk_format,
                    "container_format": container_format,
                    "owner": owner,
                    "visibility": visibility,
                },
                properties=properties or {},
            )
            task = _begin(connection, image.id, values.identifier(task_id), method, plan, on_failure, total, request)
            return rows.image(connection, image.id), task

    def progress(self, task: Task, received: int, total: int | None = None) -> None:
        """Record that `received` bytes of `total` have arrived; with `total` None, the recorded total stays.

        A transaction that reaches the disk: call it every second or so, not for every chunk. Raises Conflict
        (``lost-task``) if the image was deleted or the task taken over: the worker must stop.
        """
        row = {"done": values.number("the progress", received)}
        if total is not None:
            row["total"] = values.number("the total", total)
        with self._database.write() as connection:
            states.own_task(connection, _owner(task), row, doing="report progress")

    def note(self, task: Task, *, message: str | None = None, report: Any = None) -> None:
        """Record a sentence, or a preliminary report, for a running task. Raises Conflict (``lost-task``)."""
        row: dict[str, str] = {}
        if message is not None:
            row["message"] = values.text("the message", message, values.VALUE_LIMIT)
        if report is not None:
            row["report"] = values.json("the report", report)
        with self._database.write() as connection:
            states.own_task(connection, _owner(task), row, doing="note something")

    def ready_to_publish(
        self,
        task: Task,
        *,
        report: Any,
        size: int,
        digests: Mapping[str, str],
        disk_format: str | None = None,
        container_format: str | None = None,
        virtual_size: int | None = None,
        properties: Mapping[str, tuple[str | None, str]] | None = None,
    ) -> Task:
        """Record all results of the import: from now on, any worker that takes the task over may finish it.

        `size` and `virtual_size` are in bytes; a format that is None leaves the declared format; `properties` maps a
        name to (value, plugin), or to (value, "") for a property of the image itself, where None removes it. Raises
        Conflict (``lost-task``; ``wrong-state`` if the results are recorded already).
        """
        checked = {
            values.text("a digest's name", name): values.text("a digest", value) for name, value in digests.items()
        }
        row = {
            "step": "publishing",
            "report": values.json("the report", report),
            "size": values.number("the size", size),
            "virtual_size": values.optional_number("the virtual size", virtual_size),
            "digests": values.json("the digests", checked),
            "properties": values.json("the properties", values.import_properties(properties or {})),
            **{
                name: value
                for name, value in values.formats(disk_format, container_format).items()
                if value is not None
            },
        }
        with self._database.write() as connection:
            states.own_task(connection, _owner(task), row, doing="make ready to publish", at_step="receiving")
            return rows.task(connection, task.id)

    def activate(self, task: Task, stores: Sequence[str] | None = None) -> Image:
        """Make the image active, with the recorded results; the task ends as "accepted".

        The bytes must be published before in `stores`, by default in all stores of the task. Idempotent for the same
        worker. Raises Conflict: then the image is not this worker's, and if the image is deleted, the published bytes
        must be deleted, too.
        """
        owner = _owner(task)
        holding = None if stores is None else values.words("the id of a store", stores)
        with self._database.write() as connection:
            current = rows.task(connection, task.id)
            if current.outcome == "accepted" and current.token == task.token:
                return rows.image(connection, task.image_id)
            if current.outcome is None and current.token == task.token and current.step != "publishing":
                raise states.lost(connection, owner, "activate", "publishing")
            row = {
                "size": current.size,
                "virtual_size": current.virtual_size,
                "digests": values.json("the digests", current.digests),
                **values.digest_columns(current.digests),
                "code": None,
                "message": None,
                "failed_stores": None,
            }
            for name in ("disk_format", "container_format"):
                if getattr(current, name) is not None:
                    row[name] = getattr(current, name)
            states.step(connection, current.image_id, states.ACTIVATE, row, owner)
            rows.apply_import(connection, current.image_id, current.properties)
            rows.set_stores(connection, current.image_id, current.stores if holding is None else holding)
            states.own_task(connection, owner, {"step": "done", "outcome": "accepted"}, doing="activate")
            return rows.image(connection, current.image_id)

    def fail(
        self,
        task: Task,
        *,
        outcome: str,
        code: str,
        message: str,
        report: Any = None,
        failed_stores: Sequence[str] = (),
    ) -> Image:
        """End the import without an active image: the image becomes "queued" with code, message and failed stores, or
        "deleted", as `on_failure` said at the beginning.

        `outcome` is "refused", "undecided" or "cancelled". Idempotent for the same worker. Raises Conflict
        (``lost-task``).
        """
        owner = _owner(task)
        failure = {"code": values.sentence(code, values.NAME_LIMIT), "message": values.sentence(message)}
        stores = values.json("the failed stores", [values.sentence(name, values.NAME_LIMIT) for name in failed_stores])
        ended = {"step": "done", "outcome": values.one_of("the outcome", outcome, _FAILURES), **failure}
        if report is not None:
            try:
                ended["report"] = values.json("the report", report)
            except CatalogError as error:  # the end of an import is recorded with or without its report
                ended["report"] = values.json("the report", {"unreadable": values.sentence(error)})
        with self._database.write() as connection:
            current = rows.task(connection, task.id)
            if current.token == task.token and current.outcome in _FAILURES:
                return rows.image(connection, current.image_id)
            what = states.REQUEUE if current.on_failure == "requeue" else states.REMOVE
            states.step(connection, current.image_id, what, {**failure, "failed_stores": stores}, owner)
            states.own_task(connection, owner, ended, doing=what.doing)
            return rows.image(connection, current.image_id)

    def take_over(self, task: Task) -> Task:
        """Become the task's worker instead of a worker that died, whose token is void from now on.

        Of several concurrent calls one wins. Raises NotFound, Conflict (``lost-task``).
        """
        owner = _owner(task)
        with self._database.write() as connection:
            states.step(connection, task.image_id, states.TAKE_OVER, {"token": task.token + 1}, owner)
            states.own_task(connection, owner, {"token": task.token + 1}, doing="take over")
            return rows.task(connection, task.id)

    def unfinished(self) -> list[Task]:
        """All running tasks, oldest first; the claim on its staged bytes shows whether a worker lives."""
        with self._database.read() as connection:
            query = select(tasks).where(tasks.c.outcome.is_(None)).order_by(tasks.c.created_at, tasks.c.id)
            return [task_of(row._asdict()) for row in connection.execute(query)]

    def task(self, task_id: str) -> Task:
        """The task with this id. Raises NotFound."""
        with self._database.read() as connection:
            return rows.task(connection, task_id)

    def tasks(self, image_id: str) -> list[Task]:
        """All tasks of the image, oldest first."""
        with self._database.read() as connection:
            query = select(tasks).where(tasks.c.image_id == image_id).order_by(tasks.c.token)
            return [task_of(row._asdict()) for row in connection.execute(query)]


def _begin(
    connection: Connection,
    image_id: str,
    task_id: str,
    method: str,
    plan: Any,
    on_failure: str,
    total: int | None,
    request: ImportRequest,
) -> Task:
    time = now()
    row = {
        "id": task_id,
        "image_id": image_id,
        "method": values.text("the import method", method, values.FORMAT_LIMIT),
        "plan": values.json("the plan", plan),
        "on_failure": values.one_of("on_failure", on_failure, ("requeue", "remove")),
        "step": "receiving",
        "done": 0,
        "total": values.optional_number("the total", total),
        "created_at": time,
        "updated_at": time,
        **values.import_request(request),
    }
    fresh = {
        "task_id": task_id,
        "token": images.c.token + 1,
        "code": None,
        "message": None,
        "failed_stores": None,
    }
    states.step(connection, image_id, states.BEGIN_IMPORT, fresh)
    token = connection.execute(select(images.c.token).where(images.c.id == image_id)).scalar_one()
    connection.execute(insert(tasks).values({**row, "token": token}))
    return rows.task(connection, task_id)


def _owner(task: Task) -> Owner:
    return Owner(task.id, task.token)
