"""Uploads and stagings that were under way when Glance was killed: their images go back to their tenants.

Glance itself never does that: such an image stays ``saving`` or ``uploading``, takes no bytes again, and what is staged
of it can be imported as if it were whole. What this touches of Glance: see :mod:`recovery`.
"""

from __future__ import annotations

import logging
import uuid
from pathlib import Path
from typing import Any

from douane.glance import journal
from douane.glance.outcome import Reason

from . import staged_files as leftovers

log = logging.getLogger("douane")

INTERRUPTED = Reason(
    "undecided",
    "interrupted",
    "The image service was stopped while it took this image. Nothing of it was kept: send it again",
)
_STATUS = {"stage": "uploading", "file": "saving"}
_LOCK = "os_glance_import_task"


def begin(image: str, what: str) -> journal.Entry | None:
    """Write down that bytes of `image` come in by the door `what` (``stage`` or ``file``).

    To be called at Glance's first read: then the image is this request's alone, as Glance lets one in for each image.
    Raises nothing. None where it cannot be written down; a kill -9 in the middle of it is what would not be noticed.
    """
    try:
        from glance import housekeeping
    except ImportError:
        return None  # not in a Glance
    try:
        facts = {"image": image, "upload": what}
        return journal.begin(housekeeping.staging_store_path(), f"upload-{uuid.uuid4()}", facts)
    except Exception:
        log.exception("image %.80r: that it is being sent cannot be written down", image)
        return None


def set_right(staging: Path, entry: journal.Entry, repo: Any) -> None:
    """End what `entry`, of a process that is gone, tells of. `repo` is Glance's, for an administrator. Raises."""
    from glance.common import exception

    status = _STATUS[str(entry.facts["upload"])]
    try:
        image = repo.get(str(entry.facts["image"]))
    except exception.NotFound:
        return  # deleted: Glance deletes what is staged of it when it starts
    if image.status != status or image.extra_properties.get(_LOCK) or image.locations:
        return  # it had come to its end; or an import has it by now, which sees that it is not whole
    log.warning("image %s: its %s was interrupted; it is set right", image.image_id, entry.facts["upload"])
    if status == "uploading":
        leftovers.unlink(staging, f"{image.image_id}.*", image.image_id)
    else:
        from glance.housekeeping import CONF

        # A copy: to look a store up adds those that Glance keeps for itself (glance_store.multi_backend).
        for store in list(CONF.enabled_backends or ()):
            if not store.startswith("os_glance"):
                leftovers.delete_partial(store, image.image_id)
    try:
        image.extra_properties.update(INTERRUPTED.properties())
        _queue(repo, image, status)
    except Exception as error:  # a quota, a protected property: what counts is the status
        log.warning("image %s: the reason cannot be set as properties: %r", image.image_id, error)
        _queue(repo, repo.get(image.image_id), status)


def _queue(repo: Any, image: Any, status: str) -> None:
    image.status = "queued"  # Glance forgets the size with that
    repo.save(image, from_state=status)
