"""The steps from accepted bytes to an active image: publish them in each store, activate the image; or end the import.

They begin when the catalog has the task at "publishing", with all results. Any worker may take them, also one that
takes the task over from a worker that died between two of them.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from douane.catalog import Catalog, Image, Task
from douane.catalog.staged_source import stores_of
from douane.errors import BadValue, Conflict, DouaneError, StoreError
from douane.stores import Staged, Store, StoredBytes

from . import tracing
from .failures import failure_of

log = logging.getLogger("douane")

CLAIMED = "in-use"
"""The store's code for staged bytes that another process claims."""

StoreOf = Callable[[str], Store]
"""The store with an id. Raises BadValue for an id that no store has."""


def finish_import(
    catalog: Catalog,
    store_of: StoreOf,
    task: Task,
    *,
    claimed: Mapping[str, Staged] | None = None,
    failed: Mapping[str, DouaneError] | None = None,
) -> Image:
    """Publish the bytes of `task` in all its stores, and activate the image.

    By the id of a store, `claimed` are staged bytes that the caller still claims, and `failed` why there are none. If a
    store fails, and the request says that all must succeed, or if no store has the image's own bytes, the import is
    ended as "undecided", and StoreError (or BadValue) is raised. Raises Conflict if the task is not this worker's any
    more, and StoreError (``in-use``) if a worker that had the task before is just publishing: nothing has ended then,
    try again later.
    """
    assert task.size is not None, "a task at the step publishing has its results"
    with tracing.span("publish", task.trace) as step:
        step.set(douane__task_id=task.id, douane__image_id=task.image_id, douane__stores=",".join(task.stores))
        return _finish(catalog, store_of, task, claimed or {}, dict(failed or {}))


def _finish(
    catalog: Catalog, store_of: StoreOf, task: Task, claimed: Mapping[str, Staged], failed: dict[str, DouaneError]
) -> Image:
    published, failures = _publish_everywhere(catalog, store_of, task, claimed, failed)
    has_own = any(store_id not in task.variants for store_id in published)
    if failures and (needs_all_stores(task) or not has_own):
        _take_back(catalog, task, published, failures)
        raise next(iter(failures.values()))
    try:
        return catalog.activate(task, list(published), list(failures))
    except Conflict:
        image = catalog.image(task.image_id)
        if image.status == "active":
            return image  # another worker took the last step
        if image.status == "deleted":
            for store in published.values():
                store.delete(task.image_id)  # deleted during its import: its bytes go, too
        raise


def _publish_everywhere(
    catalog: Catalog,
    store_of: StoreOf,
    task: Task,
    claimed: Mapping[str, Staged],
    failures: dict[str, DouaneError],
) -> tuple[dict[str, Store], dict[str, DouaneError]]:
    published: dict[str, Store] = {}
    for store_id in task.stores:
        if store_id in failures:
            continue
        try:
            store = store_of(store_id)
            if store_id in claimed:
                _replace(store, claimed[store_id], task, catalog)
            else:
                publish_staged(store, keys_in(task, store_id), task, catalog, size_in(task, store_id))
            published[store_id] = store
        except (StoreError, BadValue) as error:
            if error.code == CLAIMED:
                raise
            log.error("import task %s: the store %s failed: %s", task.id, store_id, error)
            failures[store_id] = error
    return published, failures


def needs_all_stores(task: Task) -> bool:
    """What the request says of stores that fail: ``all_stores_must_succeed``, which is true if it is left out."""
    request = task.import_req
    return not isinstance(request, dict) or request.get("all_stores_must_succeed") is not False


def needs_all_of(task: Task, store_ids: Sequence[str]) -> bool:
    """Until the import is requested, a store that fails may never be asked for: the others keep the bytes."""
    return needs_all_stores(task) if task.requested else len(store_ids) == 1


def size_in(task: Task, store_id: str) -> int:
    """The bytes that `task` publishes in a store."""
    return task.variants[store_id].size if store_id in task.variants else task.size or 0


def keys_in(task: Task, store_id: str) -> list[str]:
    """The keys under which the accepted bytes of `task` may be staged in a store, the likeliest first.

    Staged bytes whose verdict holds are published from where they lie; in further stores they are copies.
    """
    keys = [task.staged_key or task.id]
    if store_id in task.variants:
        return keys
    if task.verdict == "accepted" and store_id in stores_of(task.source):
        keys.append(task.source["staged"])
    return list(dict.fromkeys(keys))


def publish_staged(store: Store, keys: Sequence[str], task: Task, catalog: Catalog, size: int) -> None:
    """Publish the `size` bytes that are staged under the first of `keys` that exists. May be repeated.

    Raises StoreError.
    """
    for key in keys:
        try:
            staged = store.adopt(key, size)
        except StoreError as error:
            if error.code != "not-found":
                raise
            continue
        with contextlib.closing(staged):
            _replace(store, staged, task, catalog)
        return
    # The staged name goes when the image has been published.
    if not store.exists(task.image_id) or store.size(task.image_id) != size:
        raise StoreError(f"the staged bytes of the image {task.image_id} are lost: import it again", code="not-found")


def _replace(store: Store, staged: Staged, task: Task, catalog: Catalog) -> None:
    """Publish, in place of what an import of the same image left there that failed in another store and was killed."""
    try:
        store.publish(staged, task.image_id)
    except StoreError as error:
        if error.code != "exists":
            raise
        with opened_image(store, task.image_id) as remnant:
            if not catalog.is_current(task):
                raise
            store.delete(task.image_id, only=remnant)
        store.publish(staged, task.image_id)


def _take_back(catalog: Catalog, task: Task, published: Mapping[str, Store], failed: Mapping[str, DouaneError]) -> None:
    """End the import, and delete what it has published; only then, and only that: the image is free for another."""
    with contextlib.ExitStack() as opened:
        copies = [(store, opened.enter_context(opened_image(store, task.image_id))) for store in published.values()]
        store_id, error = next(iter(failed.items()))
        why = failure_of(error, store_id)
        # Without its summary: the image is not let in.
        report = {**task.report, "detail": why.detail, "summary": None} if isinstance(task.report, dict) else None
        catalog.fail(
            task,
            outcome="undecided",
            code=why.code,
            message=why.message,
            report=report or why.document(),
            failed_stores=sorted(failed),
        )
        for store, copy in copies:
            store.delete(task.image_id, only=copy)


@contextlib.contextmanager
def opened_image(store: Store, image_id: str) -> Iterator[StoredBytes]:
    """The image in `store`, opened to tell it from another that is published later. Raises StoreError."""
    with contextlib.closing(store.open(image_id)) as image:
        yield image
