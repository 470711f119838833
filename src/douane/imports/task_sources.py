"""Where the bytes of a task come from, if they do not come through a pipe."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from douane.catalog import Task
from douane.catalog.staged_source import stores_of
from douane.declared import DeclaredImage
from douane.errors import DouaneError, StoreError
from douane.stores import Store
from douane.stream.source import Source
from douane.stream.stored_source import source_of

from .base import open_import
from .locations import location_of, open_location
from .publishing import StoreOf
from .service_stores import Stores
from .settings import ServeSettings
from .store_guard import ANOTHER

log = logging.getLogger("douane")

NAME = "the image"
"""What messages to a tenant call it."""

CHECK_SECONDS = 0.5


def staged_copies_of(task: Task, default_store: str) -> dict[str, str]:
    """The key of the staged bytes that `task` begins with, by the id of each store that has them."""
    key = _source_key(task)
    return {} if key is None else dict.fromkeys(stores_of(task.source) or [default_store], key)


def _source_key(task: Task) -> str | None:
    source = task.source if isinstance(task.source, dict) else {}
    key = source.get("staged") or source.get("spool")
    return key if isinstance(key, str) else None


def staging_stores(task: Task, stores: Stores) -> list[str]:
    """Until the import is requested, the stores in which the bytes are staged: those that this worker reaches, or the
    one that they were kept in."""
    reached = [store_id for store_id in task.stores if store_id in stores]
    kept = [store_id for store_id in staged_copies_of(task, stores.default.id) if store_id in stores]
    return reached or kept[:1] or [stores.default.id]


def open_staged(store_of: StoreOf, keys: Mapping[str, str]) -> Source:
    """The staged bytes in the first store that can be read; `keys` is by store. Raises the error of the last."""
    *others, last = keys
    for store_id in others:
        try:
            return source_of(store_of(store_id).open_staged(keys[store_id]), NAME)
        except DouaneError as error:
            log.error("staged bytes are read from another store than %s: %s", store_id, error)
    return source_of(store_of(last).open_staged(keys[last]), NAME)


def declared_of(task: Task) -> DeclaredImage:
    """What the image is said to be. Transforms may have made staged bytes something else: that is what they are."""
    declared = task.declared or DeclaredImage()
    if task.size is None or _source_key(task) is None:
        return declared
    disk_format, container_format = task.disk_format, task.container_format
    return declared.replace(
        disk_format=disk_format or declared.disk_format, container_format=container_format or declared.container_format
    )


def open_task_source(
    task: Task, store_of: StoreOf, default_store: str, settings: ServeSettings, check: Callable[[], None]
) -> Source:
    """The source of `task`; the caller closes it. `check` is called while a server is being connected to.

    Raises what `check` raises, and DouaneError if there are no bytes.
    """
    staged = staged_copies_of(task, default_store)
    if staged:
        return open_staged(store_of, staged)
    location = location_of(task)
    if location is not None:
        return open_location(task, location, store_of, NAME)
    url = task.source.get("url") if isinstance(task.source, dict) else None
    if not isinstance(url, str):
        raise StoreError(f"import task {task.id} has no bytes to begin with: import the image again", code="not-found")
    return _open_while_checking(lambda: open_import(task.method, url, settings=settings), check)


def discard_attempt(task: Task, stores: Stores) -> None:
    """Delete the bytes that the last attempt of `task` has staged. What is claimed stays: by a worker that is only
    paused, or by the caller."""
    if task.staged_key is not None:
        for place in stores:
            _discard(place.store, task.staged_key)


def discard_task_source(task: Task, stores: Stores) -> None:
    """Delete the staged bytes that `task` began with, when it has ended or has them under another key; also in stores
    that it was not imported into."""
    for store_id, key in staged_copies_of(task, stores.default.id).items():
        if store_id in stores:
            _discard(stores.by_id(store_id).store, key)


def _discard(store: Store, key: str) -> None:
    try:
        store.discard(key)
    except StoreError as error:  # what stays goes with the next sweep of a worker that reaches the store
        if error.code != ANOTHER:
            log.error("staged bytes cannot be deleted: %s", error)


def _open_while_checking(make: Callable[[], Source], check: Callable[[], None]) -> Source:
    """Connecting may take as long as a server likes to be silent; an import that is cancelled does not wait for it."""
    opening = _Opening(make)
    threading.Thread(target=opening.run, name="douane-open", daemon=True).start()
    try:
        while not opening.ended.wait(CHECK_SECONDS):
            check()
    except BaseException:
        opening.give_up()
        raise
    return opening.result()


class _Opening:
    def __init__(self, make: Callable[[], Source]) -> None:
        self.ended = threading.Event()
        self._make = make
        self._lock = threading.Lock()
        self._given_up = False
        self._source: Source | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            source = self._make()
        except BaseException as error:  # whatever it is, `result` raises it
            self._error = error
        else:
            with self._lock:
                if self._given_up:
                    source.close()
                else:
                    self._source = source
        self.ended.set()

    def give_up(self) -> None:
        with self._lock:
            self._given_up = True
            source, self._source = self._source, None
        if source is not None:
            source.close()

    def result(self) -> Source:
        if self._source is None:
            raise self._error or DouaneError("the image could not be opened")
        return self._source
