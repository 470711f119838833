"""Delete the bytes of an image that the catalog no longer has, or no longer has in a store."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator

from douane.api.errors import conflict
from douane.api.service import Service
from douane.catalog import Image
from douane.errors import DouaneError
from douane.imports.service_stores import delete_copy

log = logging.getLogger("douane.api")


def staged_keys(service: Service, image: Image) -> list[str]:
    """The keys of bytes that are staged for the image, before it is deleted."""
    if image.task_id is None:
        return []
    task = service.catalog.task(image.task_id)
    source = task.source if isinstance(task.source, dict) else {}
    return [key for key in (task.staged_key, source.get("spool"), source.get("staged")) if isinstance(key, str)]


def require_no_clones(service: Service, image: Image, store_ids: Iterable[str]) -> None:
    """Refuse to delete bytes that volumes or servers of the cloud depend on. Raises HttpError, StoreError."""
    for store_id in store_ids:
        if store_id in service.stores and service.stores.by_id(store_id).store.clones(image.id):
            raise conflict(
                f"The image is in use in the store {store_id}: volumes or servers are clones of it. Delete these first."
            )


def delete_bytes(service: Service, image: Image, keys: Iterable[str]) -> None:
    """Delete the bytes of a deleted image in all its stores, and those staged under `keys`.

    What fails is logged, and a worker tries again (`Settling.delete_copies_of_deleted`). Bytes that a worker writes
    just now are its own: it discards them when it notices.
    """
    for store_id in image.stores:
        if store_id in service.stores:
            with _logged(image, store_id):
                delete_copy(service.catalog, service.stores, image.id, store_id)
    for key in keys:
        for place in service.stores:
            with _logged(image, place.id):
                place.store.discard(key)


@contextlib.contextmanager
def _logged(image: Image, store_id: str) -> Iterator[None]:
    try:
        yield
    except DouaneError as error:
        log.error("the bytes of the deleted image %s stay in the store %s: %s", image.id, store_id, error)
