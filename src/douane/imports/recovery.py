"""Recovery: finish or undo imports of the command line whose process died, and delete bytes of no image."""

from __future__ import annotations

import contextlib

from douane.catalog import Catalog, Task
from douane.errors import Conflict, NotFound, StoreError
from douane.stores import Store

from .publishing import keys_in, publish_staged

INTERRUPTED = "interrupted"
BYTES_LOST = ("not-found", "damaged")
"""Codes of the store after which another attempt cannot help."""


def recover(catalog: Catalog, store: Store) -> list[Task]:
    """Finish or undo the imports of dead processes; return the tasks that were ended. Harmless beside live imports, and
    beside a server, whose tasks have leases and are settled by its workers.

    The process of a live import holds a claim on its staged bytes. An import at the step "publishing" has its verdict,
    and all its bytes are durable: it is finished. Any other import is undone.
    """
    ended = []
    for task in catalog.unfinished():
        if not _is_dead(store, task):
            continue
        with contextlib.suppress(Conflict, NotFound):  # another process recovers it, or its owner came to its end
            if _settle(catalog, store, catalog.take_over(task)):
                ended.append(task)
    _sweep(catalog, store)
    return ended


def _is_dead(store: Store, task: Task) -> bool:
    # Staged bytes are made before their task. Without staged bytes, the process was in the step from "published" to
    # "active", or from "discarded" to its end: to take that step in its place is harmless if it still lives.
    return store.is_abandoned(task.id) or task.id not in set(store.staged_keys())


def _settle(catalog: Catalog, store: Store, task: Task) -> bool:
    """False if that has to wait: the image was accepted and its bytes exist, but it cannot be published now."""
    if task.step == "publishing" and task.size is not None:
        try:
            publish_staged(store, keys_in(task, "file"), task, catalog, task.size)
            catalog.activate(task)
            return True
        except StoreError as error:
            if error.code not in BYTES_LOST:
                return False  # a full disk, an error of the device: the next start tries again
    store.discard(task.id)
    catalog.fail(
        task,
        outcome="undecided",
        code=INTERRUPTED,
        message="the import was interrupted before it was decided; import the image again",
    )
    return True


def _sweep(catalog: Catalog, store: Store) -> None:
    """Delete staged bytes without a live task, and published bytes of deleted images."""
    delete_unused_keys(catalog, store)
    for image_id in list(store.image_ids()):
        try:
            deleted = catalog.image(image_id).status == "deleted"
        except NotFound:
            deleted = False  # of another catalog: never delete bytes of unknown images
        if deleted:
            try:
                store.delete(image_id)
            except StoreError as error:
                if error.code != "image-in-use":  # until its clones are gone
                    raise


def delete_unused_keys(catalog: Catalog, store: Store) -> int:
    """Delete the staged bytes in `store` that no process claims and no task has. How many stay since they are another
    catalog's."""
    # In this order: a key is recorded before its first byte, or the claim of its process keeps the bytes.
    keys = list(store.staged_keys())
    used = catalog.staged_keys() if keys else set()
    unused = [key for key in keys if key not in used]
    others = catalog.keys_of_others(unused) if unused else set()
    for key in unused:
        if key not in others:
            store.discard(key)
    return len(others)
