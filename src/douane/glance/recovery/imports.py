"""After a Glance was killed: its imports and uploads are ended, and their images go back to their tenants.

Glance itself never does that: such an image stays ``importing``, and can only be deleted. This module and
:mod:`import_task` are the ones that touch Glance from inside; line by line what they use:

``glance.housekeeping.staging_store_path()``, ``glance.context.get_admin_context()``,
``glance.gateway.Gateway().get_repo(context)`` and ``.get_task_repo(context)``, and
``glance.async_.flows.api_image_import.ImportActionWrapper(repo, image id, task id)``, and of a file store, which
``glance_store.get_store_from_store_identifier(name)`` gives, the folders; for uploads ``CONF.enabled_backends``.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from douane.glance import journal
from douane.glance.outcome import Before, Reason, drop_lock, give_back

from . import uploads
from .staged_files import delete_partial, unlink

log = logging.getLogger("douane")

INTERRUPTED = Reason(
    "undecided",
    "interrupted",
    "The image service was stopped while this image was being imported. Nothing of it was kept: stage and import it "
    "again, or import it from its URL again",
)
_LOCK = "os_glance_import_task"
_IMPORTING_TO = "os_glance_importing_to_stores"
_FINAL = ("success", "failure")

_done = False
_once = threading.Lock()


def recover_once() -> None:
    """:func:`recover`, in this process for the first time. Raises nothing: it is beside what it is called from."""
    global _done  # noqa: PLW0603  # it is of the process, as what it guards
    with _once:
        if _done:
            return
        _done = True
        recover()


def recover() -> None:
    """Set right what killed processes of this host left. Raises nothing."""
    try:
        from glance import housekeeping
    except ImportError:
        return  # not in a Glance
    try:
        staging = housekeeping.staging_store_path()
        for entry in journal.left(staging):
            try:
                _set_right(Path(staging), entry)
            except Exception:
                log.exception("what was interrupted of image %s cannot be set right yet", entry.facts.get("image"))
                entry.leave()
            else:
                entry.end()
    except Exception:  # a Glance that is another inside: what it was called from has to go on
        log.exception("it cannot be found out what was interrupted")


def end_finished() -> None:
    """End the entries of this process's imports that are over: an import that succeeds tells nobody, and taskflow lets
    go of it when the garbage collector comes by, which may be after hundreds. Raises nothing."""
    entries = [entry for entry in journal.of_this_process() if "task" in entry.facts]
    if not entries:
        return
    try:
        from glance.common import exception

        from glance import context, gateway

        repo = gateway.Gateway().get_repo(context.get_admin_context())
        for entry in entries:
            try:
                lock = repo.get(str(entry.facts["image"])).extra_properties.get(_LOCK)
            except exception.NotFound:
                lock = None
            if lock != entry.facts["task"]:
                entry.end()
    except Exception:  # they are ended later, or another process finds that there is nothing to be set right
        log.exception("it cannot be found out which imports are over")


def _set_right(staging: Path, entry: journal.Entry) -> None:
    from glance.async_.flows import api_image_import
    from glance.common import exception

    from glance import context, gateway

    admin = context.get_admin_context()
    gate = gateway.Gateway()
    repo, tasks = gate.get_repo(admin), gate.get_task_repo(admin)
    if "upload" in entry.facts:
        uploads.set_right(staging, entry, repo)
        return
    image_id, task_id, stores = str(entry.facts["image"]), str(entry.facts["task"]), list(entry.facts["stores"])
    try:
        image = repo.get(image_id)
    except exception.NotFound:
        return  # deleted: Glance deletes what is staged of it when it starts
    if image.extra_properties.get(_LOCK) != task_id:
        return  # it had come to its end
    log.warning("image %s: its import, task %s, was interrupted; it is set right", image_id, task_id)
    wrapper = api_image_import.ImportActionWrapper(repo, image_id, task_id)
    if image.status in ("queued", "uploading"):
        unlink(staging, f"{image_id}.*")  # not begun: what is staged can be imported
    elif image.status == "importing":
        unlink(staging, f"{image_id}.*", image_id)
        with wrapper as action:
            for store in stores:
                action.remove_location_for_store(store)  # and its data
        for store in stores:
            delete_partial(store, image_id)
        before = Before(entry.facts.get("attributes") or {}, entry.facts.get("properties") or {})
        if not give_back(wrapper, INTERRUPTED, stores, before):
            raise RuntimeError("its state cannot be saved")
    else:  # active, in one of several stores
        unlink(staging, f"{image_id}.*", image_id)
        importing = image.extra_properties.get(_IMPORTING_TO, "").split(",")
        with wrapper as action:
            action.remove_importing_stores(importing)
            action.add_failed_stores(importing)
    drop_lock(wrapper)
    _fail(tasks, task_id)


def _fail(tasks: Any, task_id: str) -> None:
    task = tasks.get(task_id)
    if task.status not in _FINAL:
        task.fail(INTERRUPTED.message)
        tasks.save(task)
