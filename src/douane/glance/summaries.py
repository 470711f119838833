"""Where the signed summaries of accepted images are: a file for each image, in a folder that the operator names.

A property of the image would not do. Glance's API sets properties once an image is active, a quota or a protection may
leave them out, and Nova copies them, shortened to 255 characters, to every server of the image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from douane.durable import write_durably
from douane.errors import EvidenceError, PlanError

_ID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_NEEDS_FOLDER = (
    "the plan has [evidence], but `summaries` names no folder for the summaries: write `summaries = /var/lib/glance/"
    "summaries` into the filter's section, and make that folder, owned by the user that runs Glance"
)
_NEEDS_KEY = "`summaries` names a folder for signed summaries, but the plan has no [evidence], which names the key"


def check_summaries(folder: str | None, *, signs: bool) -> None:
    """Raise PlanError unless there is a `folder` exactly if the plan `signs` summaries."""
    if (folder is not None) != signs:
        raise PlanError(_NEEDS_FOLDER if signs else _NEEDS_KEY)


def path_of(folder: str, image: str, suffix: str) -> Path:
    """The file about an image (an id) in a folder. Raises EvidenceError."""
    if not _ID.fullmatch(image):  # it came in a URL: it could be a path
        raise EvidenceError(f"the image's id is no UUID, but {image!r:.80}")
    return Path(folder) / f"{image.lower()}{suffix}"


def keep_summary(folder: str | None, image: str, summary: Mapping[str, Any] | None) -> None:
    """Write the `summary` of the accepted `image` (an id) into `folder`, durably and in one step, as ``ID.json``.

    Nothing is written without both. Raises EvidenceError, also if only one is there: the plan has changed, and the
    image must not get in without what the operator asked for.
    """
    if folder is None and summary is None:
        return
    if folder is None or summary is None:
        raise EvidenceError(_NEEDS_FOLDER if folder is None else _NEEDS_KEY)
    path = path_of(folder, image, ".json")
    try:
        # It is meant for everybody who may look into the folder.
        write_durably(path, msgspec.json.encode(summary), mode=0o644)
    except OSError as error:
        raise EvidenceError(f"the summary of image {image} cannot be kept in {folder}: {error.strerror}") from error
