"""The path of a request: decoded once, without tricks, and with one name for all versions of the API."""

from __future__ import annotations

from douane.api.errors import HttpError, bad_request, not_found
from douane.api.requests.bounds import PATH_BYTES

from .service_documents import PREFIXES

_HIDDEN = ("%2f", "%5c", "%00")
"""A slash, a backslash and a NUL, encoded: another program on the way may see other segments than this one."""


def read_path(raw_path: bytes, path: str) -> str:
    """The path to route: `path` is decoded, `raw_path` is as it was sent.

    ``/v2.7/images`` is the same as ``/v2/images``. Raises HttpError 400 or 404 for a path that programs on the way
    could understand in two ways.
    """
    if len(raw_path) > PATH_BYTES:
        raise HttpError(414, f"The path has more than {PATH_BYTES} bytes.")
    written = raw_path.decode("latin-1").lower()
    if any(hidden in written for hidden in _HIDDEN):
        raise not_found("There is no such path: it has an encoded slash, backslash or NUL.")
    if "\ufffd" in path or not path.isprintable():
        raise bad_request("The path is not UTF-8 text.")
    segments = path.split("/")
    if "." in segments or ".." in segments:
        raise not_found("There is no such path: it has a segment of dots.")
    if len(segments) > 1 and segments[1] in PREFIXES:
        segments[1] = "v2"
    return "/".join(segments)
