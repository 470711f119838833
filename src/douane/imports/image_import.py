"""The steps of an import: a new image, checked, stored, active; or nothing."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass

import msgspec

from douane.catalog import Image, Task
from douane.declared import DeclaredImage
from douane.engine import Plan, Report, RunOptions, inspect_image
from douane.errors import BadValue, Conflict, DouaneError, ImageDeleted, PlanError
from douane.evidence import sign_report
from douane.stores import Staged
from douane.stream.source import Source

from .home import Home
from .publishing import finish_import
from .results import results_of
from .task_progress import TaskProgress

CANCELLED = "cancelled"


@dataclass(frozen=True)
class Imported:
    """The result of an import."""

    report: Report
    image: Image | None
    """The active image, if it was accepted."""


def import_image(
    home: Home, plan: Plan, declared: DeclaredImage, source: Source, options: RunOptions, *, method: str = "file"
) -> Imported:
    """Let the image of `source` through `plan` and into the store of `home`, as a new, active image.

    Unless it is accepted, only the task remains, with its report: no image, no bytes. `source` is closed. `method` is
    the import method that opened it. Raises PlanError for a plan or declaration that cannot be used, and DouaneError
    for failures of the catalog, the store or the engine.
    """
    try:
        task, staged = _begin(home, plan, declared, source.size, method)
    except BaseException:
        source.close()
        raise
    return _ImageImport(home, task, staged).run(plan, declared, source, options)


def _begin(home: Home, plan: Plan, declared: DeclaredImage, size: int | None, method: str) -> tuple[Task, Staged]:
    """Stage before the task is made: the claim on the staged bytes shows that this import lives."""
    task_id = str(uuid.uuid4())
    staged = home.store.stage(task_id)
    try:
        _, task = home.catalog.begin_new_import(
            task_id=task_id,
            method=method,
            plan=msgspec.to_builtins(plan),
            on_failure="remove",
            total=size,
            name=declared.name,
            disk_format=declared.disk_format,
            container_format=declared.container_format,
            properties=declared.properties,
        )
    except BaseException as error:
        staged.discard()
        if isinstance(error, BadValue):
            raise PlanError(str(error)) from error  # the user declared it
        raise
    return task, staged


class _ImageImport:
    """An import that has begun."""

    def __init__(self, home: Home, task: Task, staged: Staged) -> None:
        self._home = home
        self._task = task
        self._staged = staged

    def run(self, plan: Plan, declared: DeclaredImage, source: Source, options: RunOptions) -> Imported:
        """Inspect, then publish or end the task. Whatever happens, nothing is left unfinished."""
        try:
            progress = TaskProgress(self._home.catalog, self._task, display=options.progress)
            options = msgspec.structs.replace(options, progress=progress)
            report = inspect_image(plan, declared, source, self._staged, options)
            if report.outcome == "accepted":
                sign_report(plan, report, self._task.image_id, declared.name)
                return Imported(report, self._publish(report))
            self._end(report.outcome, code=report.code, message=report.message, report=report)
            return Imported(report, None)
        except DouaneError as error:
            self._end("undecided", code=error.code, message=str(error))
            if isinstance(error, Conflict) and self._home.catalog.image(self._task.image_id).status == "deleted":
                raise ImageDeleted(
                    f"the image {self._task.image_id} was deleted while it was being imported; nothing was stored"
                ) from error
            raise
        except BaseException:
            message = "the import was interrupted; import the image again"
            self._end(CANCELLED, code=CANCELLED, message=message)
            raise

    def _publish(self, report: Report) -> Image:
        """The steps to "active". Recovery completes them if the process dies between two of them."""
        ready = self._home.catalog.ready_to_publish(self._task, **results_of(report))
        claimed = dict.fromkeys(ready.stores, self._staged)
        return finish_import(self._home.catalog, lambda _store_id: self._home.store, ready, claimed=claimed)

    def _end(self, outcome: str, *, code: str | None, message: str | None, report: Report | None = None) -> None:
        self._staged.discard()
        with contextlib.suppress(Conflict):  # deleted or taken over: there is nothing left to end
            self._home.catalog.fail(
                self._task,
                outcome=outcome,
                code=code or "undecided",
                message=message or "the image could not be decided",
                report=report.to_json() if report is not None else None,
            )
