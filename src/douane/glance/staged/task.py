"""The task in Glance's import: it inspects the staged file and applies the outcome to the image.

Every error in here ends as a failure that taskflow knows, and `revert` gives the image back to its tenant.
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

from douane.glance import internals
from douane.glance.outcome import UNDECIDED, Reason, Undo, drop_lock, requeue
from douane.glance.recovery import imports as recovery
from douane.glance.recovery import journal

if TYPE_CHECKING:  # it imports the engine; if that fails, `revert` must still work
    from .staged_import import Changes, StagedImport

log = logging.getLogger("douane")

_REVERTED_BY_GLANCE = "web-download"
"""The method whose own task, reverted after ours, sets ``queued`` (and fails if that is set) and deletes the staged
file (and logs an error if it is gone)."""

_LOCK_STAYS = "glance-download"
"""The method of which two tasks set ``queued`` when they are reverted: the second fails, so the lock would stay."""

_NOT_STORED = Reason(
    "undecided",
    "not-stored",
    "The image was accepted, but the image service could not store it. Stage and import it again later, or ask the "
    "operator",
)


def flow_of(kwargs: Mapping[str, Any]) -> Any:
    """A flow with the one task, for the arguments of ``get_flow``. Raises KeyError if Glance passes others."""
    inspection = InspectImage(kwargs)
    inspection.record()
    return linear_flow.Flow(kwargs["task_type"]).add(inspection)


class InspectImage(task.Task):  # type: ignore[misc]  # taskflow has no types where this is checked
    """The task of one import."""

    default_provides = "file_path"

    def __init__(self, kwargs: Mapping[str, Any]) -> None:
        """`kwargs` are the arguments of ``get_flow``."""
        self._task_id: str = kwargs["task_id"]
        self._image_id: str = kwargs["image_id"]
        self._repo, self._wrapper = _with_role(kwargs)
        self._roles = list(getattr(kwargs["context"], "roles", None) or ())
        self._service_roles = list(getattr(kwargs["context"], "service_roles", None) or ())
        self._stores = [store for store in kwargs.get("backend") or () if store]
        self._method: str = kwargs["import_req"]["method"]["name"]
        self._reason: Reason = UNDECIDED
        self._uri: str | None = None
        self._import: StagedImport | None = None
        self._changes: Changes | None = None
        self._entry: journal.Entry | None = None
        super().__init__(name=f"{kwargs['task_type']}-Douane-{self._task_id}")

    def record(self) -> None:
        """Record in the journal of this host that the import is under way. If that fails, the import goes on; only a
        kill -9 in its middle would not be noticed."""
        recovery.recover()
        recovery.close_ended_imports()
        try:
            facts = {"image": self._image_id, "task": self._task_id, "stores": self._stores}
            self._entry = journal.begin(internals.staging_folder(), self._task_id, facts)
            # Glance does not tell plugins when the import has ended, but taskflow drops its tasks then, or later. The
            # next import checks, too.
            weakref.finalize(self, self._entry.close).atexit = False
        except Exception:  # whatever a disk, or Glance's configuration, raises: see above
            log.exception("image %s: that it is being imported cannot be recorded", self._image_id)

    def execute(self, file_path: str, **kwargs: Any) -> str:
        """Inspect `file_path` (a ``file://`` URI), apply the outcome, and return the same URI.

        Raises only what Glance shows as the task's failure: after SystemExit, Glance never ends the task.
        """
        self._uri = file_path
        try:
            from .staged_import import StagedImport

            self._import = StagedImport(
                self._image_id,
                self._method,
                self._repo,
                self._wrapper,
                self._roles,
                self._note,
                service_roles=self._service_roles,
            )
            outcome = self._import.run(file_path)
            if isinstance(outcome, Reason):
                self._reason = outcome
            else:
                self._changes = outcome
        except BaseException:
            log.exception("image %s could not be inspected", self._image_id)
        if self._changes is None:
            raise _failure(self._reason)
        return file_path

    def revert(self, result: Any, **kwargs: Any) -> None:
        """The import has failed, in this task or in a later one. Raises nothing: Glance would keep the image locked."""
        try:
            self._revert()
        except BaseException:
            log.critical("image %s could not be given back to its tenant", self._image_id, exc_info=True)
            if self._entry is not None:
                self._entry.release()

    def _note(self, undo: Undo) -> None:
        if self._entry is not None:
            with contextlib.suppress(OSError):
                self._entry.add({"attributes": undo.attributes, "properties": undo.properties})

    def _revert(self) -> None:
        if self._changes is not None:
            self._reason = _NOT_STORED
        by_glance = self._method == _REVERTED_BY_GLANCE
        try:
            if self._import is not None and self._import.has_staged_file:
                self._import.give_up(delete=not by_glance)
            elif not by_glance:
                self._delete_unopened()
        except OSError:
            log.exception("image %s: its staged file cannot be deleted", self._image_id)
        undo = self._import.undo if self._import is not None else Undo()
        is_saved = requeue(self._wrapper, self._reason, self._stores, undo, set_status=not by_glance)
        if self._method == _LOCK_STAYS:
            drop_lock(self._wrapper)
        if self._entry is None:
            return
        if not is_saved:
            self._entry.release()
        elif not by_glance:
            self._entry.close()

    def _delete_unopened(self) -> None:
        """Delete what is at the staged file's path: no regular file, or one that was not opened as the engine could
        not be imported."""
        path = (self._uri or "").removeprefix("file://")
        if os.path.basename(path) == self._image_id:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def _with_role(kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
    """Glance's repository, and its wrapper of the image, for the user; with Douane's role if it may be needed."""
    if not internals.protects_properties():
        return kwargs["image_repo"], kwargs["action_wrapper"]
    repo = internals.user_repo(kwargs["context"])
    return repo, internals.import_wrapper(repo, kwargs["image_id"], kwargs["task_id"])


def _failure(reason: Reason) -> Exception:
    message = f"{reason.message} ({reason.code})"
    try:
        return internals.task_failure(message)
    except Exception:  # of another Glance: its tenant reads less, but the import must fail
        return RuntimeError(message)
