"""Imports that were under way when Glance was killed; and the one entry to all recovery, `recover`."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from douane.glance import internals
from douane.glance.outcome import Reason, Undo, drop_lock, requeue
from douane.glance.store_drivers import delete_stored

from . import journal
from .partial_files import delete_staged
from .uploads import recover_upload

log = logging.getLogger("douane")

INTERRUPTED = Reason(
    "undecided",
    "interrupted",
    "The image service was stopped while this image was being imported. Nothing of it was kept: stage and import it "
    "again, or import it from its URL again",
)
_NOT_BEGUN = (
    "The image service was stopped before it began to import this image. What is staged is kept: import the image again"
)
_FINAL = ("success", "failure")

_has_run = False
_first_run = threading.Lock()


def record_request(image: str, request_id: str | None) -> journal.Entry | None:
    """Record in the journal that Glance is asked to import `image`, by the request of this id.

    Glance locks the image before it answers, and calls the import plugin some time after: a kill -9 in between would
    leave the lock. The plugin's own entry takes over then. Raises nothing. None if it cannot be recorded; then such a
    kill would not be noticed.
    """
    if request_id is None:
        return None  # outside of Glance
    try:
        return journal.begin(
            internals.staging_folder(), f"request-{uuid.uuid4()}", {"image": image, "request": request_id}
        )
    except ImportError:
        return None  # outside of Glance
    except Exception:  # whatever a disk, or Glance's configuration, raises: see above
        log.exception("image %.80r: that its import is requested cannot be recorded", image)
        return None


def recover_once() -> None:
    """:func:`recover`, the first time that it is called in this process. Raises nothing."""
    global _has_run  # noqa: PLW0603  # one for the process, as the lock is
    with _first_run:
        if _has_run:
            return
        _has_run = True
        recover()


def recover() -> None:
    """Recover the images that killed processes of this host left half-way. Raises nothing: its caller must go on."""
    try:
        staging = internals.staging_folder()
        for entry in journal.abandoned_entries(staging):
            try:
                _recover_entry(staging, entry)
            except Exception:  # whatever Glance or its database raises: a later call tries again
                log.exception("the image %s, interrupted, cannot be recovered yet", entry.facts.get("image"))
                entry.release()
            else:
                entry.close()
    except ImportError:
        return  # outside of Glance
    except Exception:  # of another Glance, of a disk
        log.exception("the imports and uploads that were interrupted cannot be determined")


def close_ended_imports() -> None:
    """Close the entries of this process's imports that have ended: nothing reports an import that succeeds, and the
    garbage collector drops its task late, sometimes after hundreds of imports. Raises nothing."""
    entries = [entry for entry in journal.own_entries() if "task" in entry.facts]
    if not entries:
        return
    try:
        repo = internals.image_repo()
        for entry in entries:
            image = internals.find_image(repo, str(entry.facts["image"]))
            if image is None or image.extra_properties.get(internals.LOCK) != entry.facts["task"]:
                entry.close()
    except Exception:  # a later call closes them, or the recovery finds nothing to do
        log.exception("the imports that have ended cannot be determined")


def _recover_entry(staging: Path, entry: journal.Entry) -> None:
    repo, facts = internals.image_repo(), entry.facts
    if "upload" in facts:
        recover_upload(staging, entry, repo)
        return
    image = internals.find_image(repo, str(facts["image"]))
    lock = image.extra_properties.get(internals.LOCK) if image is not None else None
    if lock is None:
        return  # the import had ended. Glance deletes the staged data of a deleted image when it starts
    if "task" in facts:
        if facts["task"] == lock:
            _recover_import(staging, repo, image, lock, facts)
        return
    # Without a task, Glance was killed before it recorded the task: the next import ignores such a lock. And the task
    # of another request has a process of its own.
    task = internals.find_task(lock)
    if task is not None and task.request_id == facts["request"]:
        stores = [store for store in (task.task_input or {}).get("backend") or () if store]
        _recover_import(staging, repo, image, lock, {"stores": stores})


def _recover_import(staging: Path, repo: Any, image: Any, task_id: str, facts: Mapping[str, Any]) -> None:
    image_id, stores, message = str(image.image_id), list(facts["stores"]), INTERRUPTED.message
    log.warning("image %s: its import, task %s, was interrupted; the image can be imported again", image_id, task_id)
    wrapper = internals.import_wrapper(repo, image_id, task_id)
    if image.status in ("queued", "uploading"):
        delete_staged(staging, image_id, with_original=False)  # it had not begun: the staged data can be imported
        message = _NOT_BEGUN
    elif image.status == "importing":
        delete_staged(staging, image_id, with_original=True)
        with wrapper as action:
            for store in stores:
                action.remove_location_for_store(store)  # and its data
        for store in stores:
            delete_stored(store, image_id)
        undo = Undo(facts.get("attributes") or {}, facts.get("properties") or {})
        if not requeue(wrapper, INTERRUPTED, stores, undo):
            raise RuntimeError("its state cannot be saved")
    else:  # active, in one of several stores
        delete_staged(staging, image_id, with_original=True)
        missing_stores = image.extra_properties.get(internals.IMPORTING_TO, "").split(",")
        with wrapper as action:
            action.remove_importing_stores(missing_stores)
            action.add_failed_stores(missing_stores)
    drop_lock(wrapper)
    _fail_task(task_id, message)


def _fail_task(task_id: str, message: str) -> None:
    repo = internals.task_repo()
    task = repo.get(task_id)
    if task.status not in _FINAL:
        task.fail(message)
        repo.save(task)
