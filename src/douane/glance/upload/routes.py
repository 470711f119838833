"""The requests that bring an image's bytes into Glance (Image API v2), and requests that could do so in disguise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote_plus

Environ = Mapping[str, Any]
Action = Literal["stage", "file", "import"]

# Wider than the API's paths, as Glance's routing is: paste.urlmap takes several slashes for one, and the expressions
# of routes end with `$`, which matches before a newline (%0A), too. A match too many costs one GET; a match too few is
# an image that nobody has inspected.
_PATH = re.compile(
    r"(?:.*?(?P<version>/v2[^/]*))?/images/(?P<image>[^/]+)/(?P<action>stage|file|import)[/\s]*", re.ASCII | re.DOTALL
)
_OVERRIDE = re.compile("(?:^|[&;])_method=")
_SLASHES = re.compile("//+")
_DATA_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class Route:
    """A request that carries an image, ``PUT /v2/images/{image}/stage`` or ``/file``, or that has Glance import it:
    ``POST /v2/images/{image}/import``."""

    action: Action
    image: str
    """The image's id, as the client wrote it."""
    path: str
    """Path of the image itself, ``/v2/images/{image}``, as a PATH_INFO."""


def upload_route(environ: Environ) -> Route | None:
    """The route of a request that carries an image, or None.

    Every method counts unless it only reads: Glance accepts ``PUT`` alone, but that is for Glance to decide.
    """
    route = _route(environ)
    return route if route is not None and route.action != "import" else None


def import_route(environ: Environ) -> Route | None:
    """The route of a request that begins an import, or None. Every method counts unless it only reads, as above."""
    route = _route(environ)
    return route if route is not None and route.action == "import" else None


def disguise(environ: Environ) -> str | None:
    """Why Glance must not get this request: it could carry an image where :func:`upload_route` sees none, or be
    another request than it seems. None if there is no objection.

    ``?_method=PUT`` makes an upload of a POST (routes.middleware, in every Glance so far). And only an image's data is
    ``application/octet-stream``, on which Glance insists: a body of that type on another path would be a way in that
    Douane does not know.
    """
    match = _match(environ)
    if match is not None and _is_overridden(environ):
        return "The method of this request cannot be overridden by _method"
    if match is not None and match["action"] != "import":
        return None
    content_type = str(environ.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
    has_body = environ.get("CONTENT_LENGTH") not in (None, "", "0") or environ.get("HTTP_TRANSFER_ENCODING")
    if content_type == _DATA_TYPE and has_body:
        return f"Only the file and the stage of an image take a body of type {_DATA_TYPE}"
    return None


def _route(environ: Environ) -> Route | None:
    match = _match(environ)
    if match is None or (environ.get("REQUEST_METHOD") in ("GET", "HEAD") and not _is_overridden(environ)):
        return None
    action: Action = match["action"]  # type: ignore[assignment]  # the expression matches nothing else
    return Route(action, match["image"], f"{match['version'] or ''}/images/{match['image']}")


def _match(environ: Environ) -> re.Match[str] | None:
    return _PATH.fullmatch(_SLASHES.sub("/", str(environ.get("PATH_INFO") or "")))


def _is_overridden(environ: Environ) -> bool:
    return _OVERRIDE.search(unquote_plus(str(environ.get("QUERY_STRING") or ""))) is not None
