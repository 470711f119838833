"""The body of a request as different servers give it, and as Glance takes it."""

from __future__ import annotations

import importlib
import re
from typing import Any

from .body import Input, InspectedBody

_DIGITS = re.compile(r"[0-9]{1,18}")


def input_of(environ: dict[str, Any]) -> Input:
    """What the body is read from. uWSGI gives a chunked one by functions of its own, and not in ``wsgi.input``."""
    if is_chunked(environ) and (uwsgi := _uwsgi()) is not None:
        return _Chunks(uwsgi)
    body: Input = environ["wsgi.input"]
    return body


def environ_with(environ: dict[str, Any], body: InspectedBody) -> dict[str, Any]:
    """The environment in which Glance reads `body`.

    That a body was chunked is not shown any more: it is not now, and Glance would ask uWSGI for the chunks itself. Nor
    is a Content-Length beside it, which says nothing then (RFC 9112, 6.3): Glance would stop there.
    ``wsgi.input_terminated`` says that the body ends by itself (webob reads none without a length otherwise).
    """
    changed = {**environ, "wsgi.input": body}
    if is_chunked(environ):
        changed.pop("HTTP_TRANSFER_ENCODING", None)
        changed.pop("CONTENT_LENGTH", None)
        changed["wsgi.input_terminated"] = True
    return changed


class BadLength(Exception):
    """What is announced of the body's length contradicts itself, or is no number. The text is for the client."""


def length_of(environ: dict[str, Any]) -> int | None:
    """How many bytes are announced; None for a chunked body of which nothing is. Raises BadLength.

    Without Content-Length and chunks there is no body (RFC 9112, 6.3): 0. Glance 33 gives the length that
    ``x-openstack-image-size`` announces to its stores, some of which stop there: so it has to be true.
    """
    announced = _number(environ, "HTTP_X_OPENSTACK_IMAGE_SIZE")
    if is_chunked(environ):
        return announced
    length = _number(environ, "CONTENT_LENGTH") or 0
    if announced is not None and announced != length:
        raise BadLength(f"x-openstack-image-size is {announced}, but the body has {length} bytes")
    return length


def is_chunked(environ: dict[str, Any]) -> bool:
    """True for a body in chunks, whatever it is besides."""
    return "chunked" in str(environ.get("HTTP_TRANSFER_ENCODING") or "").lower()


def _number(environ: dict[str, Any], key: str) -> int | None:
    """int() is no help: to it, `-1`, `1_0` and digits of all the world are numbers, too, unlike to HTTP servers."""
    told = str(environ.get(key) or "").strip(" \t")
    if not told:
        return None
    if not _DIGITS.fullmatch(told):
        name = key.removeprefix("HTTP_").replace("_", "-").lower()
        raise BadLength(f"{name} is {told!r:.40}, and not a number of bytes")
    return int(told)


def _uwsgi() -> Any:
    try:
        return importlib.import_module("uwsgi")  # a module of the server, which is there only inside of it
    except ImportError:
        return None


class _Chunks:
    """A chunked body in uWSGI. Chunks are as long as the client makes them; what is too much waits."""

    def __init__(self, uwsgi: Any) -> None:
        self._uwsgi = uwsgi
        self._rest = b""
        self._ended = False

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end. Raises OSError if the client is gone."""
        if not self._rest and not self._ended:
            self._rest = self._uwsgi.chunked_read()
            self._ended = not self._rest
        part, self._rest = self._rest[:size], self._rest[size:]
        return part
