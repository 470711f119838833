"""The body of a request as different servers give it, and as Glance takes it."""

from __future__ import annotations

import importlib
from typing import Any

from .body import Input, InspectedBody


def input_of(environ: dict[str, Any]) -> Input:
    """What the body is read from. uWSGI gives a chunked one by functions of its own, and not in ``wsgi.input``."""
    if _is_chunked(environ) and (uwsgi := _uwsgi()) is not None:
        return _Chunks(uwsgi)
    body: Input = environ["wsgi.input"]
    return body


def environ_with(environ: dict[str, Any], body: InspectedBody, length: int | None) -> dict[str, Any]:
    """The environment in which Glance reads `body`.

    That a body was chunked is not shown any more: it is not now, and Glance would ask uWSGI for the chunks itself.
    ``wsgi.input_terminated`` says that the body ends by itself (webob reads none without a length otherwise).
    """
    changed = {**environ, "wsgi.input": body}
    if length is None:
        changed.pop("HTTP_TRANSFER_ENCODING", None)
        changed["wsgi.input_terminated"] = True
    return changed


def length_of(environ: dict[str, Any]) -> int | None:
    """Content-Length in bytes; None for a chunked body. Without either there is no body (RFC 9112, 6.3): 0."""
    if _is_chunked(environ):
        return None
    told = environ.get("CONTENT_LENGTH") or "0"
    return int(told)


def _is_chunked(environ: dict[str, Any]) -> bool:
    return "chunked" in str(environ.get("HTTP_TRANSFER_ENCODING") or "").lower()


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
