"""The steps of an import: a new image, checked, stored, active; or nothing."""

from __future__ import annotations

import contextlib
import time
import uuid
from dataclasses import dataclass

import msgspec

from douane.catalog import Image, Task
from douane.declared import DeclaredImage
from douane.engine import Plan, Report, RunOptions, inspect_image
from douane.errors import BadValue, Conflict, DouaneError, ImageDeleted, PlanError
from douane.host.options import Progress
from douane.report import PropertyValue
from douane.stores import Staged
from douane.stream.source import Source

from .home import Home

PROGRESS_SECONDS = 2.0
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
            options = msgspec.structs.replace(options, progress=self._progress(options.progress))
            report = inspect_image(plan, declared, source, self._staged, options)
            if report.outcome == "accepted":
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

    def _progress(self, display: Progress | None) -> Progress:
        """Report progress to `display` at once, and to the catalog every other second."""
        last = time.monotonic()

        def progress(received: int, total: int | None) -> None:
            nonlocal last
            if display is not None:
                display(received, total)
            if time.monotonic() - last >= PROGRESS_SECONDS:
                last = time.monotonic()
                with contextlib.suppress(Conflict):  # deleted meanwhile: publishing will notice
                    self._home.catalog.progress(self._task, received, total)

        return progress

    def _publish(self, report: Report) -> Image:
        """The steps to "active". Recovery completes them if the process dies between two of them."""
        catalog, store = self._home.catalog, self._home.store
        ready = catalog.ready_to_publish(
            self._task,
            report=report.to_json(),
            size=report.stored.size,
            digests=report.stored.digests(),
            disk_format=report.disk_format,
            container_format=report.container_format,
            virtual_size=report.virtual_size,
            properties=_properties(report),
        )
        store.publish(self._staged, ready.image_id)
        try:
            return catalog.activate(ready)
        except Conflict:
            image = catalog.image(ready.image_id)
            if image.status == "active":
                return image  # another process's recovery took the last step
            if image.status == "deleted":
                store.delete(ready.image_id)  # deleted during its import: its bytes go, too
            raise

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


def _properties(report: Report) -> dict[str, tuple[str | None, str]]:
    """Each property's value (None removes it) and plugin ("" for a property of the image itself), by name."""
    properties: dict[str, tuple[str | None, str]] = {
        name: (None if proposed.value is None else _text(proposed.value), "")
        for name, proposed in report.proposed.items()
    }
    properties.update({key: (_text(value), key.partition(".")[0]) for key, value in report.properties.items()})
    return properties


def _text(value: PropertyValue) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
