"""Facts of a task that a worker owns, in the words of the engine and the stores."""

from __future__ import annotations

import logging

from douane.catalog import Task
from douane.plan.binding import Sender

log = logging.getLogger("douane")

UPLOAD = "upload"


def key_of(task: Task) -> str:
    """The key under which the attempt stages its bytes."""
    assert task.staged_key is not None, "a task that a worker owns has a key"
    return task.staged_key


def sender_of(task: Task) -> Sender:
    """Who sends the image, by which the plan leaves out transforms that are not for it."""
    roles = () if task.declared is None else task.declared.roles
    return Sender("upload" if task.method == UPLOAD else "import", roles)


def warn_of_another_plan(task: Task, digest: str) -> None:
    """Say in the log that a worker's plan, with this digest, is not that of the door which began the task."""
    if task.plan_digest != digest:
        log.warning(
            "import task %s: the plan of this worker (%.12s) is not that of the request (%.12s): the worker's judges "
            "the image, and if it was staged, its import judges it again",
            task.id,
            digest,
            task.plan_digest,
        )
