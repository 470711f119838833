"""The task in Glance's import: the staged file goes through the plan, and what comes back is applied.

Whatever happens in here ends as a failure that taskflow knows, and `revert` gives the image back to its tenant.
"""

from __future__ import annotations

import contextlib
import logging
import os
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from taskflow import task
from taskflow.patterns import linear_flow

from douane.glance import journal
from douane.glance.outcome import UNDECIDED, Before, Reason, drop_lock, give_back

if TYPE_CHECKING:
    from .staged_import import Applied, StagedImport

log = logging.getLogger("douane")

_REVERTED_BY_GLANCE = "web-download"
"""The method whose own task, reverted after ours, sets ``queued`` (and fails if that is set) and deletes what is staged
(and logs an error if that is gone)."""

_LOCK_STAYS = "glance-download"
"""The method of which two tasks set ``queued`` when they are reverted: the second fails, so the lock would stay."""


def flow_of(kwargs: Mapping[str, Any]) -> Any:
    """A flow with the one task, for the arguments of ``get_flow``. Raises KeyError if Glance gives others."""
    given = InspectImage(kwargs)
    given.write_down()
    return linear_flow.Flow(kwargs["task_type"]).add(given)


class InspectImage(task.Task):  # type: ignore[misc]  # taskflow has no types where this is checked
    """See the module."""

    default_provides = "file_path"

    def __init__(self, kwargs: Mapping[str, Any]) -> None:
        self._task_id: str = kwargs["task_id"]
        self._image_id: str = kwargs["image_id"]
        self._wrapper = kwargs["action_wrapper"]
        self._repo = kwargs["image_repo"]
        self._roles = list(getattr(kwargs["context"], "roles", None) or ())
        self._stores = [store for store in kwargs.get("backend") or () if store]
        self._method: str = kwargs["import_req"]["method"]["name"]
        self._reason: Reason = UNDECIDED
        self._staged_as: str | None = None
        self._import: StagedImport | None = None
        self._applied: Applied | None = None
        self._entry: journal.Entry | None = None
        super().__init__(name=f"{kwargs['task_type']}-Douane-{self._task_id}")

    def write_down(self) -> None:
        """Make known on this host that this import is under way. Where that fails the import goes on: a kill -9
        in its middle is what would not be noticed."""
        from douane.glance.recovery import imports as recovery

        recovery.recover()
        recovery.end_finished()
        try:
            from glance import housekeeping

            facts = {"image": self._image_id, "task": self._task_id, "stores": self._stores}
            self._entry = journal.begin(housekeeping.staging_store_path(), self._task_id, facts)
            # Nobody tells a plugin that the import has come to its end; but taskflow lets go of its tasks then, or
            # later. The next import looks, too.
            weakref.finalize(self, self._entry.end).atexit = False
        except Exception:
            log.exception("image %s: that it is being imported cannot be written down", self._image_id)

    def execute(self, file_path: str, **kwargs: Any) -> str:
        """Inspect `file_path` (a ``file://`` URI), and apply what comes back; the same URI.

        Raises what Glance shows as the task's failure, and nothing else: it never ends a task that raised SystemExit.
        """
        self._staged_as = file_path
        try:
            from .staged_import import StagedImport

            self._import = StagedImport(
                self._image_id, self._method, self._repo, self._wrapper, self._roles, self._note
            )
            refused = self._import.run(file_path)
            if isinstance(refused, Reason):
                self._reason = refused
            else:
                self._applied = refused
        except BaseException:
            log.exception("image %s could not be inspected", self._image_id)
            self._applied = None
        if self._applied is None:
            raise _failure(self._reason)
        return file_path

    def revert(self, result: Any, **kwargs: Any) -> None:
        """The import has failed, here or later. Raises nothing: Glance would keep the image locked."""
        try:
            self._revert()
        except BaseException:
            log.critical("image %s could not be given back to its tenant", self._image_id, exc_info=True)
            if self._entry is not None:
                self._entry.leave()

    def _note(self, before: Before) -> None:
        if self._entry is not None:
            with contextlib.suppress(OSError):
                self._entry.note({"attributes": before.attributes, "properties": before.properties})

    def _revert(self) -> None:
        if self._applied is not None:
            self._reason = _NOT_STORED
        by_glance = self._method == _REVERTED_BY_GLANCE
        try:
            if self._import is not None and self._import.opened:
                self._import.give_up(delete=not by_glance)
            elif not by_glance:
                self._delete_unopened()
        except OSError:
            log.exception("image %s: what is staged of it cannot be deleted", self._image_id)
        before = self._import.before if self._import is not None else Before()
        saved = give_back(self._wrapper, self._reason, self._stores, before, queue=not by_glance)
        if self._method == _LOCK_STAYS:
            drop_lock(self._wrapper)
        if self._entry is None:
            return
        if not saved:
            self._entry.leave()
        elif not by_glance:
            self._entry.end()

    def _delete_unopened(self) -> None:
        """What stands where the staged file should, and is none; or is one, and the engine cannot be loaded."""
        path = (self._staged_as or "").removeprefix("file://")
        if os.path.basename(path) == self._image_id:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


_NOT_STORED = Reason(
    "undecided",
    "not-stored",
    "The image was accepted, but the image service could not store it. Stage and import it again later, or ask the "
    "operator",
)


def _failure(reason: Reason) -> Exception:
    """Of this kind of exception Glance takes the text for the task's message; of others it does not."""
    text = f"{reason.message} ({reason.code})"
    try:
        from glance.common import exception

        failure: Exception = exception.UploadException(text)
    except Exception:
        return RuntimeError(text)
    return failure
