"""Wait until tasks that workers run have their verdicts: one query for all who wait."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from douane.catalog import Task
from douane.catalog.task_list import TaskEnd
from douane.errors import CatalogError, DouaneError, NotFound
from douane.imports.inline import Done
from douane.imports.inline_messages import short_path

from .errors import UNAVAILABLE_CODES, HttpError
from .pool import Pool

log = logging.getLogger("douane.api")

AWAY_SECONDS = 60.0
"""A database that is started again, or whose standby takes over, is back by then."""
PAUSES = (0.05, 0.1, 0.2, 0.4)
"""Between two looks at the tasks, in seconds, after the last one came to wait; then the last again."""


class Verdicts:
    """Those who wait for the verdicts of tasks. Used in the event loop."""

    def __init__(self, ends: Callable[[Sequence[str]], Mapping[str, TaskEnd]], pool: Pool) -> None:
        """`ends` is :meth:`Catalog.ends`, called in the pool."""
        self._ends = ends
        self._pool = pool
        self._waiting: dict[str, asyncio.Future[Done]] = {}
        self._looks = 0
        """Since the last one came to wait."""
        self._watch: asyncio.Task[None] | None = None

    async def wait(self, task: Task) -> Done:
        """The end of the task, or the verdict on its staged bytes. Raises NotFound if the record of the task is gone,
        and CatalogError if the catalog is away for `AWAY_SECONDS`: the bytes are kept, and so is the verdict."""
        verdict: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._waiting[task.id] = verdict
        self._looks = 0
        if self._watch is None:
            self._watch = asyncio.create_task(self._look_again_and_again())
        try:
            return await verdict
        finally:
            self._waiting.pop(task.id, None)

    async def _look_again_and_again(self) -> None:
        try:
            answered_at = time.monotonic()
            while self._waiting:
                try:
                    await self._look()
                    answered_at = time.monotonic()
                except (DouaneError, HttpError) as error:
                    self._fail(error, is_over=time.monotonic() - answered_at > AWAY_SECONDS)
                pause = PAUSES[min(self._looks, len(PAUSES) - 1)]
                self._looks += 1
                await asyncio.sleep(pause)
        finally:
            self._watch = None

    async def _look(self) -> None:
        asked = list(self._waiting)
        ends = await self._pool.run(self._ends, asked)
        for task_id in asked:
            verdict = self._waiting.get(task_id)
            if verdict is None or verdict.done():
                continue
            end = ends.get(task_id)
            if end is None:
                verdict.set_exception(NotFound(f"there is no import task {task_id!r:.80}"))
            elif end.outcome is not None:
                verdict.set_result(_done(end))

    def _fail(self, error: DouaneError | HttpError, *, is_over: bool) -> None:
        """The catalog is away, or busy: they wait on, unless it is so for too long or for good."""
        is_away = isinstance(error, HttpError) or (isinstance(error, CatalogError) and error.code in UNAVAILABLE_CODES)
        log.warning("the verdicts of %d tasks cannot be read now: %s", len(self._waiting), error)
        if is_away and not is_over:
            return
        for verdict in self._waiting.values():
            if not verdict.done():
                verdict.set_exception(error)


def wake_workers(path: Path) -> None:
    """Tell the workers that a task waits. One that is not told looks every second or so."""
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        short_path(path) as address,
    ):
        sender.setblocking(False)
        sender.sendto(b"\n", address)


def _done(end: TaskEnd) -> Done:
    return Done(end.outcome or "undecided", end.code, end.message, image_status=end.image_status)
