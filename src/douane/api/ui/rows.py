"""The rows of the list of imports, and what the script asks for about those that run."""

from __future__ import annotations

from typing import Any

import msgspec

from douane.api.documents.task_progress import slow_plugin
from douane.api.identity.rights import Identity
from douane.catalog.records import Image, Task

from .words import duration_text, explain_state, method_word, percent, progress_text, state_word, time_words

MAX_LIVE = 100
"""Imports that one request of the script may ask about."""


class ImportRow(msgspec.Struct, frozen=True, kw_only=True):
    """An import in the list."""

    id: str
    image_id: str
    name: str
    state: str
    """One of waiting, running, accepted, refused, undecided, cancelled."""

    sentence: str
    code: str
    method: str
    project: str
    percent: int | None
    progress: str
    slow: str
    """The plugin that the run waits for."""

    begin: str
    begin_machine: str
    duration: str

    @property
    def is_over(self) -> bool:
        """True if nothing changes any more."""
        return self.state not in ("waiting", "running")


def import_row(task: Task, image: Image | None) -> ImportRow:
    """The row of `task`; `image` is its image, if it is still there."""
    is_over = task.outcome is not None
    return ImportRow(
        id=task.id,
        image_id=task.image_id,
        name=(image.name if image is not None else None) or "(no name)",
        state=state_word(task),
        sentence=explain_state(task),
        code=(task.code or "") if is_over else "",
        method=method_word(task.method),
        project=task.owner or "",
        percent=None if is_over else percent(task),
        progress="" if is_over else progress_text(task),
        slow=slow_plugin(task.report) if state_word(task) == "running" else "",
        begin=time_words(task.created_at),
        begin_machine=task.created_at,
        duration=duration_text(task.created_at, task.updated_at) if is_over else "",
    )


def live_document(rows: list[ImportRow], newest: str | None) -> dict[str, Any]:
    """What the script shows of imports: the same words as in the page; and the id of the newest of a list."""
    return {
        "newest": newest,
        "imports": [
            {
                "id": row.id,
                "state": row.state,
                "sentence": row.sentence,
                "percent": row.percent,
                "progress": row.progress,
                "slow": row.slow,
            }
            for row in rows
        ],
    }


def may_see_task(identity: Identity, task: Task, *, sees_image: bool) -> bool:
    """The right to read a task, as in the API: whoever sees its image, and the project that requested it."""
    if identity.is_admin or sees_image:
        return True
    return identity.is_reader and task.owner is not None and task.owner == identity.project_id
