"""Facts of a task that a worker owns, in the words of the engine and the stores."""

from __future__ import annotations

from douane.catalog import Task
from douane.plan.binding import Sender

UPLOAD = "upload"


def key_of(task: Task) -> str:
    """The key under which the attempt stages its bytes."""
    assert task.staged_key is not None, "a task that a worker owns has a key"
    return task.staged_key


def sender_of(task: Task) -> Sender:
    """Who sends the image, by which the plan leaves out transforms that are not for it."""
    roles = () if task.declared is None else task.declared.roles
    return Sender("upload" if task.method == UPLOAD else "import", roles)
