"""What idle workers do: complete, repeat or end the tasks of workers that died, and delete bytes that no task has."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection

from douane.catalog import Catalog, Task
from douane.catalog.endings import REMOVED_AT_ONCE
from douane.catalog.needs import can_run, stores_in
from douane.catalog.open_source import CLIENT, is_open
from douane.errors import BadValue, Conflict, DouaneError, NotFound, StoreError
from douane.stores import Store

from .publishing import CLAIMED, finish_import, opened_image
from .recovery import INTERRUPTED, delete_unused_keys
from .service_stores import Stores, delete_copy
from .task_sources import discard_attempt, discard_task_source

log = logging.getLogger("douane")

REMOVALS = 10
"""Transactions that remove old tasks at a time: another worker may come for other work after each of them."""

MAX_ATTEMPTS = 3
"""An image on which so many workers died is not tried again."""


NO_WORKER = "no-worker"
"""The code of an import that no worker could run."""

Working = Callable[[str], contextlib.AbstractContextManager[None]]


def _can_settle(task: Task, reached: Collection[str]) -> bool:
    """An accepted image is published, and copies of dead workers are deleted, by a worker that reaches the stores."""
    has_bytes = task.step == "publishing" or task.method == "copy-image"
    return not has_bytes or set(task.stores) <= set(reached)


def _without_lease(_task_id: str) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


class Settling:
    """The idle work of the worker named `worker`. Every method is harmless beside other workers and live imports."""

    def __init__(
        self,
        catalog: Catalog,
        stores: Stores,
        worker: str,
        working: Working = _without_lease,
        reached: Callable[[], Collection[str]] | None = None,
    ) -> None:
        """`working` renews the worker's lease of a task, named by its id, in its block. `reached` are the stores that
        the worker reaches now, by default all."""
        self._reached = reached or (lambda: stores.ids)
        self._catalog = catalog
        self._stores = stores
        self._worker = worker
        self._working = working
        self._shared: set[str] = set()
        """The stores of which the log said that another catalog uses them, too."""

    def settle_dead_tasks(self) -> int:
        """Take over the tasks whose leases have ended, and whose stores this worker reaches; how many there were."""
        reached = self._reached()
        dead = [task for task in self._catalog.dead_tasks() if _can_settle(task, reached)]
        for task in dead:
            with contextlib.suppress(Conflict, NotFound):  # another worker was faster, or its own came back in time
                taken = self._catalog.take_over(task, self._worker)
                with self._working(taken.id):
                    if is_open(taken):
                        self._settle_open(taken, is_expired=task.worker == CLIENT)
                    else:
                        self._settle(taken)
        return len(dead)

    def end_expired(self, staged_seconds: float) -> None:
        """End the tasks whose staged bytes nobody imported in time, and remove the records of old tasks, some at a
        time."""
        for task in self._catalog.expired_staged(staged_seconds):
            with contextlib.suppress(Conflict, NotFound):  # imported at this moment
                self._expire(task, "the staged data was not imported in time, and is deleted; upload the image again")
        for _ in range(REMOVALS):
            if self._catalog.remove_ended() < REMOVED_AT_ONCE:
                break
        self._catalog.forget_deleted_reports()

    def end_stranded(self, patience: float) -> None:
        """End the tasks that have waited for so long, in seconds, and that no worker can run: none reaches their
        stores."""
        reaching = [worker.stores for worker in self._catalog.workers()]
        waiting = {group.needs for group in self._catalog.waiting_needs()}
        unmet = [needs for needs in waiting if needs and not any(can_run(needs, stores) for stores in reaching)]
        for task in self._catalog.waiting_with(unmet, patience) if unmet else ():
            with contextlib.suppress(Conflict, NotFound):  # a worker came for it at this moment
                self._catalog.fail(
                    task,
                    outcome="undecided",
                    code=NO_WORKER,
                    message="no worker of the image service reaches the stores that this import needs; import the "
                    "image again",
                    failed_stores=task.stores if task.requested else (),
                )
                log.error(
                    "import task %s ends: no worker reaches the stores that it needs: %s",
                    task.id,
                    ", ".join(stores_in(task.needs)),
                )
                self._discard(task)

    def delete_remnants(self) -> None:
        """Delete the staged bytes that belong to no task, in all stores that the worker reaches."""
        for store_id in self._reached():
            self.delete_remnants_in(store_id)

    def delete_remnants_in(self, store_id: str) -> None:
        """The same in one store."""
        try:
            foreign = delete_unused_keys(self._catalog, self._store_of(store_id))
        except StoreError as error:
            log.error("the store %s cannot be swept: %s", store_id, error)
        else:
            if foreign and store_id not in self._shared:
                self._shared.add(store_id)
                log.error(
                    "the store %s has staged bytes of another catalog, which are left alone: do all services with this "
                    "store name the same [serve] database? `douane fsck` lists them",
                    store_id,
                )

    def delete_strays_in(self, store_id: str) -> None:
        """Delete what late requests have left in one store."""
        try:
            strays = self._store_of(store_id).delete_strays()
        except StoreError as error:
            log.error("the store %s cannot be searched for what late requests left: %s", store_id, error)
        else:
            if strays:
                log.info("%d marks without bytes, of late requests, are deleted from the store %s", strays, store_id)

    def delete_copies_of_deleted(self) -> None:
        """Delete the bytes of deleted images that are still in a store: the door that had to do it died, or the store
        or the catalog was away."""
        for image_id, store_id in self._catalog.copies_of_deleted():
            if store_id not in self._reached():
                continue  # another worker reaches it, or its configuration comes back
            try:
                delete_copy(self._catalog, self._stores, image_id, store_id)
            except NotFound:
                continue  # another worker, or the door, was faster
            except StoreError as error:
                level = logging.INFO if error.code == "image-in-use" else logging.ERROR  # until its clones are gone
                log.log(level, "the bytes of the deleted image %s stay in the store %s: %s", image_id, store_id, error)
            else:
                log.info("the bytes of the deleted image %s are gone from the store %s", image_id, store_id)

    def _settle_open(self, task: Task, *, is_expired: bool) -> None:
        """An open upload: its door is gone, and its client may go on elsewhere; or its client never came back."""
        if not is_expired:
            self._catalog.leave_upload(task)
            return
        self._expire(task, "the upload was not completed in time, and is deleted; upload the image again")

    def _expire(self, task: Task, message: str) -> None:
        self._catalog.fail(task, outcome="cancelled", code="expired", message=message)
        log.info("import task %s: its data expired", task.id, extra={"image": task.image_id})
        self._discard(task)

    def _settle(self, task: Task) -> None:
        log.warning("import task %s: its worker is gone at the step %s", task.id, task.step)
        if task.step == "publishing":
            try:
                finish_import(self._catalog, self._store_of, task)
            except (StoreError, BadValue) as error:  # the import has ended with that error, unless
                if error.code == CLAIMED:
                    return  # when our lease has ended, it is tried again
            self._discard(task)
            return
        discard_attempt(task, self._stores)
        can_repeat = task.source is not None or task.method == "copy-image"
        if can_repeat and task.attempts < MAX_ATTEMPTS:
            self._catalog.release(task)
            return
        again = "the worker of this import ended several times" if can_repeat else "the import was interrupted"
        self._catalog.fail(
            task,
            outcome="undecided",
            code=INTERRUPTED,
            message=f"{again} before the image was decided; import the image again",
            failed_stores=task.stores if task.requested else (),
        )
        self._discard(task)
        if task.method == "copy-image":
            self._delete_copies(task)

    def _store_of(self, store_id: str) -> Store:
        return self._stores.by_id(store_id).store

    def _discard(self, task: Task) -> None:
        """All staged bytes of a task that has ended."""
        discard_attempt(task, self._stores)
        discard_task_source(task, self._stores)

    def _delete_copies(self, task: Task) -> None:
        """Copies that a dead worker published, and that the catalog never knew."""
        image = self._catalog.image(task.image_id)
        for store_id in task.stores:
            if store_id not in image.stores and image.task_id is None:
                with contextlib.suppress(DouaneError):
                    store = self._store_of(store_id)
                    with opened_image(store, image.id) as copy:
                        store.delete(image.id, only=copy)
