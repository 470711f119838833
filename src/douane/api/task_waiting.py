"""Wait until a task that a worker runs has its verdict."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from itertools import chain, repeat
from pathlib import Path

from douane.catalog import Catalog, Task
from douane.errors import CatalogError
from douane.imports.inline import Done
from douane.imports.inline_messages import short_path

from .errors import UNAVAILABLE_CODES
from .pool import Pool

log = logging.getLogger("douane.api")

AWAY_SECONDS = 60.0
"""A database that is started again, or whose standby takes over, is back by then."""
PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Between two looks at the task, in seconds; then the last again."""


async def wait_for_verdict(catalog: Catalog, task: Task, pool: Pool) -> Done:
    """The end of the task, or the verdict on its staged bytes. Raises NotFound if the record of the task is gone, and
    CatalogError if the catalog is away for `AWAY_SECONDS`: the bytes are kept, and so is the verdict."""
    asked_at = time.monotonic()
    for pause in chain(PAUSES, repeat(PAUSES[-1])):
        try:
            end = await pool.run(_verdict, catalog, task.id)
        except CatalogError as error:
            if error.code not in UNAVAILABLE_CODES or time.monotonic() - asked_at > AWAY_SECONDS:
                raise
            log.warning("the verdict of task %s cannot be read now: %s", task.id, error)
        else:
            asked_at = time.monotonic()
            if end is not None:
                return end
        await asyncio.sleep(pause)
    raise AssertionError("there is no end to the pauses")


def wake_workers(path: Path) -> None:
    """Tell the workers that a task waits. One that is not told looks every second or so."""
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        short_path(path) as address,
    ):
        sender.setblocking(False)
        sender.sendto(b"\n", address)


def _verdict(catalog: Catalog, task_id: str) -> Done | None:
    task = catalog.task(task_id)
    if task.outcome is not None:
        return Done(task.outcome, task.code, task.message, image_status=catalog.image(task.image_id).status)  # type: ignore[arg-type]  # the catalog knows no other outcomes
    if task.step == "staged":
        return Done(task.verdict or "undecided", task.code, task.message, image_status="uploading")
    return None
