"""The requests by which an image's bytes enter Glance (Image API v2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Environ = Mapping[str, Any]

_PATH = re.compile(r"(?P<before>.*/v2(?:\.\d+)?/images)/(?P<image>[^/]+)/(?P<what>stage|file)/?", re.ASCII)


@dataclass(frozen=True)
class Door:
    """One request that carries an image: ``PUT /v2/images/{image}/stage`` or ``/file``."""

    what: Literal["stage", "file"]
    image: str
    """The image's id, as the client wrote it."""
    path: str
    """Path of the image itself, ``/v2/images/{image}``, in the PATH_INFO of this request."""


def door(environ: Environ) -> Door | None:
    """What `environ` (PEP 3333) asks for, or None if it carries no image."""
    if environ.get("REQUEST_METHOD") != "PUT":
        return None
    found = _PATH.fullmatch(environ.get("PATH_INFO", ""))
    if found is None:
        return None
    what: Literal["stage", "file"] = "stage" if found["what"] == "stage" else "file"
    return Door(what, found["image"], f"{found['before']}/{found['image']}")
