"""What a worker needs of a queue, in five methods: where another scheduler, such as Temporal, is put in.

The catalog has them (`task_queries.py`, `leases.py`, `import_tasks.py`). A scheduler of a site decides which task runs
where and when; who owns a task stays the catalog's decision, by lease and token, so that an image is never published
twice, whatever the scheduler does. docs/queue.md has an example.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from .records import Image, Task
from .task_queries import WaitingTask


class TaskQueue(Protocol):
    """The queue of imports."""

    def waiting(self, limit: int = 1000) -> list[WaitingTask]:
        """The tasks that wait for a worker, oldest first."""

    def claim(
        self,
        worker: str,
        methods: Sequence[str] | None = None,
        *,
        reached: Collection[str] | None = None,
        task_id: str | None = None,
    ) -> Task | None:
        """Become the worker of a task that waits: of `task_id`, or of the oldest; None if another has it, or it has
        ended. Its lease lasts 20 seconds."""

    def hold(self, worker: str, task_ids: Collection[str]) -> int:
        """The heartbeat, every 5 seconds: the leases last another 20. The number of tasks that the worker still has."""

    def release(self, task: Task, *, source: Any = None, undo_attempt: bool = False) -> Task:
        """Give a task back: it waits again."""

    def fail(
        self,
        task: Task,
        *,
        outcome: str,
        code: str,
        message: str,
        report: Any = None,
        failed_stores: Sequence[str] = (),
    ) -> Image:
        """End a task without an image. Other ends come from the run itself (`imports/runs.py`)."""
