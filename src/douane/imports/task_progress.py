"""The progress of a task: into the catalog, and from there the sign that its worker has to stop."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from douane.catalog import Catalog, Task
from douane.errors import CatalogError, Conflict, NotFound
from douane.host.options import Progress

log = logging.getLogger("douane")

RECORD_SECONDS = 2.0
"""How often the number of bytes is recorded: a transaction that reaches the disk."""

CHECK_SECONDS = 1.0
"""How often a worker looks whether the task is still its own: a cancelled import ends within two seconds."""


class TaskProgress:
    """A run calls it about ten times a second. Raises Conflict (``lost-task``) if the task has ended, or is another
    worker's; and whatever `check` raises. Either ends the run."""

    def __init__(
        self,
        catalog: Catalog,
        task: Task,
        *,
        display: Progress | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        self._catalog = catalog
        self._task = task
        self._display = display
        self._check = check
        self._recorded_at = self._checked_at = time.monotonic()
        self._slow: str | None = None
        self._recorded_slow: str | None = None

    def __call__(self, received: int, total: int | None) -> None:
        """`received` bytes of `total` have arrived."""
        if self._display is not None:
            self._display(received, total)
        if self._check is not None:
            self._check()
        now = time.monotonic()
        if now - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = now
        with self._tolerated():
            if now - self._recorded_at >= RECORD_SECONDS:
                self._recorded_at = now
                self._catalog.progress(self._task, received, total)
                self._record_slow()
            else:
                self._require_current()

    def watch(self, plugin: str | None) -> None:
        """`plugin` holds up the image now."""
        self._slow = plugin

    def _record_slow(self) -> None:
        """A preliminary report, for people who wait: the report of the run replaces it."""
        if self._slow != self._recorded_slow:
            self._recorded_slow = self._slow
            self._catalog.note(self._task, report={"running": {"waits_for": self._slow}})

    def check(self) -> None:
        """Raise what a run would be ended by, also CatalogError: for work before the first byte."""
        if self._check is not None:
            self._check()
        self._require_current()

    def _require_current(self) -> None:
        if not self._catalog.is_current(self._task):
            raise Conflict(
                f"import task {self._task.id} has ended, or another worker has taken it over; what was received is "
                "discarded",
                code="lost-task",
                actual="lost",
                expected=f"token {self._task.token}",
            )

    @contextlib.contextmanager
    def _tolerated(self) -> Iterator[None]:
        """A database that is away for a moment ends no run: without its lease, the worker fails at its next step."""
        try:
            yield
        except (Conflict, NotFound):
            raise
        except CatalogError as error:
            log.warning("the progress of import task %s cannot be recorded: %s", self._task.id, error)
