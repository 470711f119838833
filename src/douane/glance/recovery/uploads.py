"""Uploads and stagings that were under way when Glance was killed."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path
from typing import Any

from douane.glance import internals
from douane.glance.outcome import Reason
from douane.glance.store_drivers import delete_stored, store_names

from . import journal
from .partial_files import delete_staged

log = logging.getLogger("douane")

INTERRUPTED = Reason(
    "undecided",
    "interrupted",
    "The image service was stopped while it took this image. Nothing of it was kept: send it again",
)
_STATUS = {"stage": "uploading", "file": "saving"}


def record(image: str, action: str) -> journal.Entry | None:
    """Record in the journal that bytes of `image` arrive by the `action` ``stage`` or ``file``.

    Call it at Glance's first read: from then on the image belongs to this request, as Glance lets in one for each
    image. Raises nothing. None if it cannot be recorded; then a kill -9 during the upload would not be noticed.
    """
    try:
        staging = internals.staging_folder()
        return journal.begin(staging, f"upload-{uuid.uuid4()}", {"image": image, "upload": action})
    except ImportError:
        return None  # outside of Glance
    except Exception:  # whatever a disk, or Glance's configuration, raises: see above
        log.exception("image %.80r: that it is being uploaded cannot be recorded", image)
        return None


def recover_upload(staging: Path, entry: journal.Entry, repo: Any) -> None:
    """Recover the image of `entry`, of a process that is gone. `repo` is Glance's, for an administrator.

    Raises what Glance raises.
    """
    action = str(entry.facts["upload"])
    status = _STATUS[action]
    image = internals.find_image(repo, str(entry.facts["image"]))
    if image is None:
        return  # Glance deletes the staged data of a deleted image when it starts
    if image.status != status or image.extra_properties.get(internals.LOCK) or image.locations:
        return  # the upload had ended; or an import has the image by now, and finds out that it is incomplete
    log.warning("image %s: its %s was interrupted; it is queued again", image.image_id, action)
    if action == "stage":
        delete_staged(staging, image.image_id, with_original=True)
    else:
        for store in store_names():
            delete_stored(store, image.image_id)
    try:
        image.extra_properties.update(INTERRUPTED.properties())
        _queue(repo, image, status)
    except Exception as error:  # of a quota, a protected property: the status matters more
        log.warning("image %s: the reason cannot be set as properties: %r", image.image_id, error)
        _queue(repo, repo.get(image.image_id), status)


def _queue(repo: Any, image: Any, status: str) -> None:
    image.status = "queued"  # with that, Glance also forgets the size
    repo.save(image, from_state=status)
