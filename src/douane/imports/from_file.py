"""Importing from a file or a pipe: a new image, checked, stored, active; or nothing."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from douane.catalog import Image, Task
from douane.declared import DeclaredImage
from douane.engine import Plan, Report, RunOptions, inspect_image
from douane.errors import BadValue, Conflict, DouaneError, ImageDeleted, PlanError, StoreError
from douane.host.options import Progress
from douane.stores import Staged
from douane.stream.source import Source

from .home import Home

PROGRESS_SECONDS = 2.0
CANCELLED = "cancelled"


@dataclass(frozen=True)
class Imported:
    """What became of an import: the report, and the image if it was accepted."""

    report: Report
    image: Image | None


def import_image(
    home: Home,
    plan: Plan,
    declared: DeclaredImage,
    source: Source,
    options: RunOptions,
) -> Imported:
    """Let the image of `source` through `plan` and into the store of `home`, as a new, active image.

    Unless it is accepted nothing remains but the task, with its report: no image, no bytes. Raises PlanError for
    a plan or declaration that cannot be used, SinkError for a store that cannot be written, DouaneError for the rest.
    """
    task_id = str(uuid.uuid4())
    try:
        staged = home.store.stage(task_id)  # before the task: its lock is what tells that this import lives
    except StoreError:
        source.close()
        raise
    try:
        _, task = home.catalog.begin_new_import(
            task_id=task_id,
            method="file",
            plan=msgspec.to_builtins(plan),
            on_failure="remove",
            total=source.size,
            name=declared.name,
            disk_format=declared.disk_format,
            container_format=declared.container_format,
            properties=declared.properties,
        )
    except BaseException as error:
        staged.discard()
        source.close()
        if isinstance(error, BadValue):
            raise PlanError(str(error)) from error  # a name or a property that cannot be kept
        raise
    try:
        options = msgspec.structs.replace(options, progress=_both(home, task, options.progress))
        report = inspect_image(plan, declared, source, staged, options)
        if report.outcome == "accepted":
            return Imported(report, _publish(home, task, staged, report))
        _give_up(home, task, staged, outcome=report.outcome, code=report.code, message=report.message, report=report)
        return Imported(report, None)
    except BaseException as error:
        if isinstance(error, DouaneError):
            _give_up(home, task, staged, outcome="undecided", code=error.code, message=str(error))
        else:
            message = "the import was interrupted; import the image again"
            _give_up(home, task, staged, outcome=CANCELLED, code=CANCELLED, message=message)
        if isinstance(error, Conflict) and home.catalog.image(task.image_id).status == "deleted":
            raise ImageDeleted(
                f"the image {task.image_id} was deleted while it was being imported; nothing was stored"
            ) from error
        raise


def _both(home: Home, task: Task, shown: Progress | None) -> Callable[[int, int | None], None]:
    """Progress on the terminal as it comes, and in the catalog every other second."""
    last = time.monotonic()

    def progress(done: int, total: int | None) -> None:
        nonlocal last
        if shown is not None:
            shown(done, total)
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            with contextlib.suppress(Conflict):  # deleted meanwhile: publishing will find that out
                home.catalog.progress(task, done, total)

    return progress


def _publish(home: Home, task: Task, staged: Staged, report: Report) -> Image:
    """The steps to "active". A crash between any two is set right by Home.recover."""
    ready = home.catalog.ready_to_publish(
        task,
        report=report.to_json(),
        size=report.stored.size,
        digests=report.stored.digests(),
        disk_format=report.disk_format,
        container_format=report.container_format,
        virtual_size=report.virtual_size,
        properties=_found(report),
    )
    home.store.publish(staged, ready.image_id)
    try:
        return home.catalog.activate(ready)
    except Conflict:
        image = home.catalog.image(ready.image_id)
        if image.status == "active":
            return image  # another process's recovery took the last step for us
        if image.status == "deleted":
            home.store.delete(ready.image_id)  # it was deleted while it was being imported: its bytes go too
        raise


def _found(report: Report) -> dict[str, tuple[str | None, str]]:
    """Properties in the plugins' namespaces, and those of the image itself that they may set or remove."""
    found: dict[str, tuple[str | None, str]] = {
        name: (None if one.value is None else _as_text(one.value), "") for name, one in report.proposed.items()
    }
    found.update({key: (_as_text(value), key.partition(".")[0]) for key, value in report.properties.items()})
    return found


def _as_text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _give_up(
    home: Home,
    task: Task,
    staged: Staged,
    *,
    outcome: str,
    code: str | None,
    message: str | None,
    report: Report | None = None,
) -> None:
    staged.discard()
    with contextlib.suppress(Conflict):  # deleted or taken over: there is nothing left to end
        home.catalog.fail(
            task,
            outcome=outcome,
            code=code or "undecided",
            message=message or "the image could not be decided",
            report=report.to_json() if report is not None else None,
        )
