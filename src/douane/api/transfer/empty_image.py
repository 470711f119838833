"""An image without a byte: Nova registers the snapshot of a server that boots from a volume by an empty upload."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable

from douane.api.service import Service
from douane.catalog import Task

_REPORT = {"outcome": "accepted", "message": "The image has no bytes, so no plugin read it.", "verdicts": []}


def make_empty_image(service: Service, begin: Callable[[str, int | None], Task]) -> None:
    """Make the image active with the size 0. Raises DouaneError."""
    publish_empty(service, begin("empty-image", 0))


def publish_empty(service: Service, task: Task) -> Task:
    """Make the image of `task` active with the size 0; the task as it ends. Raises DouaneError."""
    served = service.served
    assert served is not None, "without a plan nothing is received"
    digests = {name: hashlib.new(name, b"", usedforsecurity=False).hexdigest() for name in served.plan.digests}
    assert task.staged_key is not None, "the task of an upload has a key"
    store = service.stores.by_id(task.stores[0]).store
    try:
        staged = store.stage(task.staged_key)
        with contextlib.closing(staged):
            staged.finish(0)
            ready = service.catalog.ready_to_publish(
                task,
                report=_REPORT,
                size=0,
                digests=digests,
            )
            store.publish(staged, task.image_id)
    except BaseException:
        with contextlib.suppress(Exception):
            store.discard(task.staged_key)
        service.catalog.fail(
            task, outcome="undecided", code="store-failed", message="the empty image could not be stored; try again"
        )
        raise
    service.catalog.activate(ready)
    return service.catalog.task(task.id)
