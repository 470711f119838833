"""Begin imports: of staged bytes, of a URL, of an active image into further stores; and cancel them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from douane.catalog import Image, Task
from douane.catalog.open_source import was_never_complete
from douane.errors import Conflict, DouaneError
from douane.imports.publishing import finish_import
from douane.imports.task_sources import discard_attempt, discard_task_source
from douane.imports.variants import bound_stores
from douane.stores import Store

from .errors import conflict
from .identity.rights import Identity, require_admin, require_change
from .requests.import_request import ImportOrder, choose_stores, require_import_status
from .service import Service
from .transfer.receiving import Sender, default_store, import_door, request_of

log = logging.getLogger("douane.api")


def check_import(service: Service, identity: Identity, image_id: str, order: ImportOrder) -> tuple[Image, list[str]]:
    """The image, and the stores that the import writes. Raises HttpError if the identity may not, or it cannot be."""
    image, access = service.visible(identity, image_id)
    holding: list[str] = []
    if order.method == "copy-image":
        require_admin(identity, "copy images to further stores")
        holding = image.stores
    else:
        require_change(identity, access, "import")
    require_import_status(order, image.status, image.disk_format, image.container_format)
    stores = choose_stores(order, service.stores.ids, default_store(service, image), holding)
    if not stores:
        raise conflict(f"The image is in these stores already: {', '.join(image.stores)}.")
    return image, stores


def begin_import(
    service: Service, sender: Sender, image: Image, stores: list[str], order: ImportOrder, size: int | None = None
) -> Task:
    """Begin the import; what no worker has to do is done at once. Raises DouaneError. `size`: bytes, if known."""
    served = service.served
    assert served is not None, "the caller has checked that there is a plan"
    uploads = service.uploads
    assert uploads is not None, "a service with a plan has a place for uploads"
    common: dict[str, Any] = {
        "request": request_of(service, sender, tuple(stores), order.body),
        "plan": msgspec.to_builtins(served.plan),
        "plan_digest": served.facts.digest,
        "quotas": service.options.upload_quotas,
    }
    if order.method != "glance-direct":
        source = {"url": order.uri} if order.uri is not None else None
        return service.catalog.begin_queued(image.id, method=order.method, source=source, total=size, **common)
    transformed = bound_stores(served.plan, import_door(sender), stores)
    task = service.catalog.request_import(image.id, worker=uploads.name, transformed=transformed, **common)
    store_of = _store_of(service)
    if task.step == "publishing":
        _finish(service, task, store_of)
    elif task.outcome is not None:
        discard_task_source(task, service.stores)
    return task


def cancel_import(service: Service, identity: Identity, image_id: str) -> None:
    """Cancel what runs for the image. Its worker notices within a second. Raises HttpError 403, 404 or 409."""
    image, access = service.visible(identity, image_id)
    running = None if image.task_id is None else service.catalog.task(image.task_id)
    if running is not None and running.method == "copy-image":
        require_admin(identity, "cancel the copying of an image")
    else:
        require_change(identity, access, "cancel the import of")
    if running is None:
        raise conflict(f"No import of image {image.id} is running.")
    who = "an administrator" if identity.is_admin else "its owner"
    task = service.catalog.cancel(running.id, message=f"the import was cancelled by {who}")
    if was_never_complete(task):  # no worker has its bytes; a door that receives them notices
        discard_attempt(task, service.stores)
    discard_task_source(task, service.stores)


def _finish(service: Service, task: Task, store_of: Callable[[str], Store]) -> None:
    """The verdict holds, and the bytes lie in their store: two steps to an active image. A failure is the task's: its
    answer is 202 all the same, and a worker tries again what has not ended."""
    try:
        finish_import(service.catalog, store_of, task)
    except (DouaneError, Conflict) as error:
        log.error("import task %s: %s", task.id, error)
        if not _has_ended(service, task):
            return
    # In stores that the request does not name, or that failed, the staged bytes are still there.
    discard_task_source(task, service.stores)


def _has_ended(service: Service, task: Task) -> bool:
    """False also if that cannot be known: then the sweeps of the workers delete what nobody needs."""
    try:
        return service.catalog.task(task.id).outcome is not None
    except DouaneError:
        return False


def _store_of(service: Service) -> Callable[[str], Store]:
    return lambda store_id: service.stores.by_id(store_id).store
