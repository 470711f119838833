"""Import tasks: begin, report progress, publish, fail."""

from collections.abc import Mapping, Sequence
from typing import Any

from . import begin, results, rows, states, values
from .begin import NO_LEASE, NewTask, owner_of
from .database import Database
from .images import insert_image
from .records import COMMAND_LINE, CopyFacts, Image, ImportRequest, Task

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
            new = NewTask(method=method, plan=plan, on_failure=on_failure, total=total, request=request)
            return begin.begin(connection, image_id, states.BEGIN_IMPORT, new)

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
            new = NewTask(
                task_id=values.identifier(task_id),
                method=method,
                plan=plan,
                on_failure=on_failure,
                total=total,
                request=request,
            )
            task = begin.begin(connection, image.id, states.BEGIN_IMPORT, new)
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
            states.own_task(connection, owner_of(task), row, doing="report progress")

    def note(self, task: Task, *, message: str | None = None, report: Any = None) -> None:
        """Record a sentence, or a preliminary report, for a running task. Raises Conflict (``lost-task``)."""
        row: dict[str, str] = {}
        if message is not None:
            row["message"] = values.text("the message", message, values.VALUE_LIMIT)
        if report is not None:
            row["report"] = values.json("the report", report)
        with self._database.write() as connection:
            states.own_task(connection, owner_of(task), row, doing="note something")

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
        variants: Mapping[str, CopyFacts] | None = None,
        plan_digest: str | None = None,
    ) -> Task:
        """Record all results of the import: from now on, any worker that takes the task over may finish it.

        `plan_digest` is that of the plan that judged the bytes, by default that of the request.

        `size` and `virtual_size` are in bytes; a format that is None leaves the declared format; `properties` maps a
        name to (value, plugin), or to (value, "") for a property of the image itself, where None removes it.
        `variants`, by store, are the copies that differ. All are staged under the task's `staged_key`. Raises Conflict
        (``lost-task``; ``wrong-state`` if the results are recorded already).
        """
        row = results.result_columns(
            report=report,
            size=values.number("the size", size),
            digests=digests,
            disk_format=disk_format,
            container_format=container_format,
            virtual_size=virtual_size,
            properties=properties,
        )
        if plan_digest is not None:
            row["plan_digest"] = begin.digest_of("", plan_digest)
        row |= {"step": "publishing", "verdict": None, "variants": values.json("the variants", variants or {})}
        with self._database.write() as connection:
            return states.changed_task(
                connection, owner_of(task), row, doing="make ready to publish", at_step="receiving"
            )

    def activate(self, task: Task, stores: Sequence[str] | None = None, failed_stores: Sequence[str] = ()) -> Image:
        """Make the image active, with the recorded results; the task ends as "accepted".

        The bytes must be published before in `stores`, by default in all stores of the task; in those of
        `failed_stores` they are not. Idempotent for the same worker. Raises Conflict: then the image is not this
        worker's, and if the image is deleted, the published bytes must be deleted, too.
        """
        owner = owner_of(task)
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
                "failed_stores": values.json("the failed stores", values.words("the id of a store", failed_stores)),
            }
            for name in ("disk_format", "container_format"):
                if getattr(current, name) is not None:
                    row[name] = getattr(current, name)
            states.step(connection, current.image_id, states.ACTIVATE, row, owner)
            rows.apply_import(connection, current.image_id, current.properties)
            holding = current.stores if holding is None else holding
            rows.set_stores(connection, current.image_id, holding, current.variants)
            states.own_task(connection, owner, {"step": "done", "outcome": "accepted", **NO_LEASE}, doing="activate")
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
        owner = owner_of(task)
        failure = {"code": values.sentence(code, values.NAME_LIMIT), "message": values.sentence(message)}
        stores = values.json("the failed stores", [values.sentence(name, values.NAME_LIMIT) for name in failed_stores])
        ended = {"step": "done", "outcome": values.one_of("the outcome", outcome, _FAILURES), **failure, **NO_LEASE}
        if report is not None:
            ended["report"] = results.report_column(report)
        with self._database.write() as connection:
            current = rows.task(connection, task.id)
            if current.token == task.token and current.outcome in _FAILURES:
                return rows.image(connection, current.image_id)
            what = states.end_of(current)
            states.step(connection, current.image_id, what, {**failure, "failed_stores": stores}, owner)
            states.own_task(connection, owner, ended, doing=what.doing)
            return rows.image(connection, current.image_id)
