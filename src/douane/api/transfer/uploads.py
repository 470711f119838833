"""Uploads: who takes the bytes, and how the request ends.

A fast upload goes to a free worker as it comes. A slow one, or one that no worker is free for, is kept in a file, and a
worker runs it when it is whole: a slow client never holds a worker. Either way the answer waits for the verdict.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from douane.api.errors import RETRY_AFTER, HttpError
from douane.api.metrics import Metrics
from douane.api.pool import Pool
from douane.api.task_waiting import Verdicts, wake_workers
from douane.catalog import Catalog, Task
from douane.errors import AgentError, CatalogError, Conflict, DouaneError, NotFound
from douane.imports.inline import Done, Hangup, WorkerConnection, reach_worker
from douane.stores import Store

from .image_body import ImageBody
from .inline_upload import NotBegun, send_to_worker
from .spool import spool
from .turns import Turns

log = logging.getLogger("douane.api")

HEARTBEAT_SECONDS = 5.0
UPLOADS_AT_ONCE = 2000
HEADS_AT_ONCE = 8
"""Uploads whose first bytes are held in memory at once; others go to a file from their first byte."""

Begin = Callable[[str, int | None], Task]
"""Makes the task of an upload, in a thread, for the worker with this name; with the size if it is known by now."""


class UploadPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where uploads go: the sockets of the workers, and the store of the bytes that are not imported yet."""

    holder: str
    """The name of this door, as the holder of a task."""

    workers: Path
    wake: Path
    store: Store
    store_id: str


def failure_words(error: BaseException) -> tuple[str, str]:
    """Code and sentence for the task of an upload that `error` ended."""
    if isinstance(error, HttpError):
        return error.code or "truncated", error.message
    if isinstance(error, DouaneError):
        return error.code, "the upload could not be kept; upload the image again"
    return "truncated", "the upload was cut off; upload the image again"


class Uploads:
    """The uploads of one door."""

    def __init__(self, catalog: Catalog, place: UploadPlace, pool: Pool, io: Pool, metrics: Metrics) -> None:
        self._catalog = catalog
        self._place = place
        self._pool = pool
        self._io = io
        self._verdicts = Verdicts(catalog.ends, pool)
        self.name = place.holder
        self.turns = Turns(lambda: catalog.holdings(place.holder), pool)
        self._metrics = metrics
        self._count = 0
        self._heads = 0
        self._held: set[str] = set()
        self._heartbeat: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """Count an upload while it lasts. Raises HttpError 503 if there are too many."""
        if self._count >= UPLOADS_AT_ONCE:
            raise HttpError(
                503,
                f"The image service has {UPLOADS_AT_ONCE} uploads at the moment; repeat the request later.",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
        self._count += 1
        self._metrics.uploads.set(self._count)
        try:
            yield
        finally:
            self._count -= 1
            self._metrics.uploads.set(self._count)

    async def run(self, body: ImageBody, begin: Begin, make_empty: Callable[[], None] | None = None) -> Done:
        """Receive the body, and have it run. `make_empty` makes the image active if the body is empty.

        Raises HttpError for a body that is wrong, and DouaneError; the image is queued again then.
        """
        try:
            is_fast = await self._receive_head(body)
            await body.receive_first()
            if body.is_complete and body.received == 0 and make_empty is not None:
                await self._pool.run(make_empty)
                return Done("accepted", image_status="active")
            size = body.received if body.is_complete else None
            worker = await reach_worker(self._place.workers) if is_fast else None
            if worker is None:
                reason = "no worker is free" if is_fast else "its client is slow"
                log.info("an upload is kept in a file until it is whole: %s", reason)
                return await self._spooled(await self._pool.run(begin, self.name, size), body)
            with contextlib.closing(worker):
                return await self._inline(await self._pool.run(begin, self.name, size), worker, body)
        finally:
            await body.close()
            self._metrics.upload_bytes.inc(body.received)

    async def _receive_head(self, body: ImageBody) -> bool:
        """True if the client is fast. The memory of heads is bounded: each counts until it has been passed on."""
        if self._heads >= HEADS_AT_ONCE:
            return False
        self._heads += 1
        asyncio.create_task(body.head_is_empty.wait()).add_done_callback(self._pass_head)
        return await body.receive_head()

    def _pass_head(self, _event: object) -> None:
        self._heads -= 1

    async def _inline(self, task: Task, worker: WorkerConnection, body: ImageBody) -> Done:
        try:
            return await send_to_worker(worker, task, body)
        except NotBegun as error:
            log.info("an upload is kept in a file until it is whole: worker %s did not begin: %s", worker.worker, error)
            return await self._spooled(task, body)
        except (Hangup, AgentError) as error:
            log.error("the worker %s of the upload to image %s is gone: %s", worker.worker, task.image_id, error)
            # If it died before it took the task, nobody else would end it; if it had taken it, this changes nothing.
            await self.undo(task, "undecided", "the worker of the upload is gone")
            raise HttpError(
                500,
                "The image could not be checked, because a part of this service ended. Nothing was kept; upload it "
                "again.",
                code="undecided",
            ) from error
        except BaseException:
            await asyncio.shield(self.undo(task, "truncated", "the upload was cut off; upload the image again"))
            raise

    async def _spooled(self, task: Task, body: ImageBody) -> Done:
        assert task.staged_key is not None, "the task of an upload has a key"
        source = {"spool": task.staged_key, "store": self._place.store_id}
        try:
            with self.holding(task):
                await spool(body, self._place.store, task.staged_key, self._io)
                await self._pool.run(self._catalog.release, task, source=source)
        except Conflict:  # cancelled, or the image was deleted: the task says which
            await self._io.run(self._place.store.discard, task.staged_key)
            return await self._verdicts.wait(task)
        except BaseException as error:
            await asyncio.shield(self.undo(task, *failure_words(error)))
            raise
        self.wake_workers()
        return await self._verdicts.wait(task)

    async def verdict(self, task: Task) -> Done:
        """Wait for the verdict on a task that waits for a worker, or that a worker runs."""
        return await self._verdicts.wait(task)

    def wake_workers(self) -> None:
        """A task waits."""
        wake_workers(self._place.wake)

    @contextlib.contextmanager
    def holding(self, task: Task) -> Iterator[None]:
        """Renew the door's lease of this task meanwhile."""
        self._held.add(task.id)
        if self._heartbeat is None:
            self._heartbeat = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            self._held.discard(task.id)

    async def _beat(self) -> None:
        while self._held:
            try:
                await self._pool.run(self._catalog.hold, self.name, list(self._held))
            except (DouaneError, HttpError) as error:
                log.error("the leases of uploads cannot be renewed: %s", error)
            await asyncio.sleep(HEARTBEAT_SECONDS)
        self._heartbeat = None

    async def undo(self, task: Task, code: str, message: str) -> None:
        """Let the image be queued again; nothing if another has the task by now."""

        def fail() -> None:
            with contextlib.suppress(Conflict, NotFound):
                self._catalog.fail(task, outcome="undecided", code=code, message=message)

        try:
            await self._pool.run(fail)
        except (CatalogError, HttpError) as error:
            log.error("the upload of task %s could not be undone; its lease ends soon: %s", task.id, error)
