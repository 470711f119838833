"""Imports in a catalog, and processes that die at one statement, for tests."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

from sqlalchemy import Engine, event

from douane.catalog import Catalog, Image, ImportRequest, Task
from douane.catalog.query import RemoveProperty, SetField, SetProperty

from .processes import in_child, is_killed

PLAN = {"plugins": [{"name": "format", "digest": "00"}]}


@cache
def empty_catalog() -> bytes:
    """The file of a new catalog: its creation is tested elsewhere, and takes longer than all the rest."""
    with tempfile.TemporaryDirectory(prefix="douane-test-") as directory:
        Catalog(Path(directory) / "catalog.sqlite").close()
        return (Path(directory) / "catalog.sqlite").read_bytes()


def begin(catalog: Catalog, image_id: str, on_failure: str = "requeue") -> Task:
    return catalog.begin_import(image_id, method="direct", plan=PLAN, on_failure=on_failure)


URL = {"url": "https://images.example/x.qcow2"}


def download(catalog: Catalog, method: str = "web-download") -> Task:
    """A new image, whose import waits for a worker."""
    image = catalog.create_image(name="x", disk_format="raw", container_format="bare")
    return catalog.begin_queued(image.id, method=method, plan=PLAN, source=URL, request=ImportRequest())


def make_ready(catalog: Catalog, task: Task, size: int = 5, **changes: object) -> Task:
    results: dict[str, object] = {
        "report": {"verdicts": []},
        "size": size,
        "digests": {"sha256": "ab" * 32},
        "disk_format": "qcow2",
        "container_format": "bare",
        "virtual_size": 10 * size,
        "properties": {"format.seen": ("qcow2", "format")},
    }
    return catalog.ready_to_publish(task, **(results | changes))


def record_staged(catalog: Catalog, task: Task, **changes: object) -> Task:
    results: dict[str, object] = {
        "outcome": "accepted",
        "report": {"verdicts": []},
        "size": 5,
        "digests": {"sha256": "ab" * 32},
        "store": "file",
        "disk_format": "qcow2",
        "properties": {"format.seen": ("qcow2", "format")},
    }
    return catalog.record_staged(task, **(results | changes))


def edit(
    catalog: Catalog,
    image_id: str,
    changes: Mapping[str, object] | None = None,
    *,
    set_properties: Mapping[str, str] | None = None,
    remove_properties: Iterable[str] = (),
) -> Image:
    """Edit fields and properties; a property that is to be removed need not exist."""
    return catalog.edit(
        image_id,
        [
            *(SetField(name, value) for name, value in (changes or {}).items()),
            *(RemoveProperty(name, present=False) for name in remove_properties),
            *(SetProperty(name, value) for name, value in (set_properties or {}).items()),
        ],
    )


def dies_at(statement: int, body: Callable[[], None]) -> bool:
    """Run `body` in a child that is killed before its n-th statement or commit; False if it does not get that far."""

    def run() -> None:
        remaining = statement

        def live_or_die(*_args: object) -> None:
            nonlocal remaining
            if remaining == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            remaining -= 1

        event.listen(Engine, "before_cursor_execute", live_or_die)
        event.listen(Engine, "commit", live_or_die)
        body()

    status = in_child(run)
    assert status == 0 or is_killed(status), "the child failed; its traceback is in the captured output"
    return status != 0
