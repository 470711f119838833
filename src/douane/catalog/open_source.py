"""The source of an open upload: its bytes arrive in several requests, and its client may be away in between.

Such a task is at "receiving", and its source is ``{"upload": KEY, "until": TIME}``: the bytes are staged under `KEY`,
and without another byte the upload ends at `TIME`, on the database's clock.
"""

from __future__ import annotations

from typing import Any

from .records import Task

CLIENT = "the client"
"""The holder of an open upload while no request is about it."""

BEGINNING = '{"upload":'
"""How the text of such a source begins, and that of no other."""


def open_source(key: str | None, until: str) -> dict[str, Any]:
    """The source of an open upload."""
    return {"upload": key, "until": until}


def expiry_of(task: Task) -> str:
    """When an open upload ends unless another byte comes."""
    return str(task.source["until"])


def is_open(task: Task) -> bool:
    """True if bytes of the upload may still come."""
    return task.outcome is None and task.step == "receiving" and _is_partial(task)


def was_never_complete(task: Task) -> bool:
    """True of an upload that ended before all its bytes had come. An image without a byte is accepted by the door."""
    return task.outcome not in (None, "accepted") and _is_partial(task)


def _is_partial(task: Task) -> bool:
    return isinstance(task.source, dict) and "upload" in task.source
