"""The requests by which an image's bytes enter Glance (Image API v2), and those that could be one in disguise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote_plus

Environ = Mapping[str, Any]

# Wider than the API's paths, as Glance's routing is: paste.urlmap takes several slashes for one, and the expressions
# of routes end with `$`, which matches before a newline (%0A), too. What is too much costs one GET; what is too
# little is an image that nobody has seen.
_PATH = re.compile(
    r"(?:.*?(?P<version>/v2[^/]*))?/images/(?P<image>[^/]+)/(?P<what>stage|file|import)[/\s]*", re.ASCII | re.DOTALL
)
_OVERRIDE = re.compile("(?:^|[&;])_method=")
_SLASHES = re.compile("//+")
_DATA_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class Door:
    """One request that carries an image: ``PUT /v2/images/{image}/stage`` or ``/file``; or has one fetched:
    ``POST /v2/images/{image}/import``."""

    what: Literal["stage", "file", "import"]
    image: str
    """The image's id, as the client wrote it."""
    path: str
    """Path of the image itself, ``/v2/images/{image}``, as a PATH_INFO."""


def door(environ: Environ) -> Door | None:
    """What `environ` (PEP 3333) asks for, or None if it carries no image.

    Every method but those that only read is one: ``PUT`` alone enters, but that is Glance's to say.
    """
    at = _door(environ)
    return at if at is not None and at.what != "import" else None


def import_door(environ: Environ) -> Door | None:
    """The same for what begins an import: ``POST`` alone does, but that, too, is Glance's to say."""
    at = _door(environ)
    return at if at is not None and at.what == "import" else None


def disguise(environ: Environ) -> str | None:
    """Why Glance may not get this request: it could bring an image in where :func:`door` sees none, or as another
    request than it seems. None if nothing is wrong.

    ``?_method=PUT`` makes an upload of a POST (routes.middleware, in every Glance so far). And an image's data alone
    is ``application/octet-stream``, which Glance insists on: where else it stands before a body, there is a door that
    Douane does not know.
    """
    found = _data_path(environ)
    if found is not None and _is_overridden(environ):
        return "The method of this request cannot be overridden by _method"
    if found is not None and found["what"] != "import":
        return None
    content_type = str(environ.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
    has_body = environ.get("CONTENT_LENGTH") not in (None, "", "0") or environ.get("HTTP_TRANSFER_ENCODING")
    if content_type == _DATA_TYPE and has_body:
        return f"A body of type {_DATA_TYPE} is taken by the file and the stage of an image only"
    return None


def _door(environ: Environ) -> Door | None:
    found = _data_path(environ)
    if found is None or (environ.get("REQUEST_METHOD") in ("GET", "HEAD") and not _is_overridden(environ)):
        return None
    what: Literal["stage", "file", "import"]
    what = "stage" if found["what"] == "stage" else "file" if found["what"] == "file" else "import"
    return Door(what, found["image"], f"{found['version'] or ''}/images/{found['image']}")


def _data_path(environ: Environ) -> re.Match[str] | None:
    return _PATH.fullmatch(_SLASHES.sub("/", str(environ.get("PATH_INFO") or "")))


def _is_overridden(environ: Environ) -> bool:
    return _OVERRIDE.search(unquote_plus(str(environ.get("QUERY_STRING") or ""))) is not None
