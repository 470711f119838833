"""The body of a request as different servers give it, and its announced length."""

from __future__ import annotations

import importlib
import re
from typing import Any

from .body import Input

_DIGITS = re.compile(r"[0-9]{1,18}")


class BadLength(Exception):
    """The announced length contradicts itself, or is no number. The text is for the client."""


def open_input(environ: dict[str, Any]) -> Input:
    """The file to read the body from. uWSGI gives chunked bodies through functions of its own, not ``wsgi.input``."""
    if is_chunked(environ) and (uwsgi := _uwsgi()) is not None:
        return _UwsgiChunks(uwsgi)
    body: Input = environ["wsgi.input"]
    return body


def environ_with(environ: dict[str, Any], body: Any) -> dict[str, Any]:
    """The environment in which Glance reads `body`, a file, instead.

    Glance must not see that a body was chunked, because `body` is not, and Glance would ask uWSGI for the chunks. Nor
    may it see a Content-Length beside chunks, which is void (RFC 9112, 6.3): Glance would stop there.
    ``wsgi.input_terminated`` says that the body ends by itself (without it, webob reads no body of unknown length).
    """
    changed = {**environ, "wsgi.input": body}
    if is_chunked(environ):
        changed.pop("HTTP_TRANSFER_ENCODING", None)
        changed.pop("CONTENT_LENGTH", None)
        changed["wsgi.input_terminated"] = True
    return changed


def announced_length(environ: dict[str, Any]) -> int | None:
    """The announced number of bytes; None for a chunked body without one. Raises BadLength.

    A request with neither Content-Length nor chunks has no body (RFC 9112, 6.3): 0. Glance 33 passes the number in
    ``x-openstack-image-size`` to its stores, some of which stop there, so it has to be true.
    """
    image_size = _number(environ, "HTTP_X_OPENSTACK_IMAGE_SIZE")
    if is_chunked(environ):
        return image_size
    length = _number(environ, "CONTENT_LENGTH") or 0
    if image_size is not None and image_size != length:
        raise BadLength(f"x-openstack-image-size is {image_size}, but the body has {length} bytes")
    return length


def is_chunked(environ: dict[str, Any]) -> bool:
    """True for a body in chunks, whatever other encodings it has."""
    return "chunked" in str(environ.get("HTTP_TRANSFER_ENCODING") or "").lower()


def _number(environ: dict[str, Any], key: str) -> int | None:
    """int() accepts more than HTTP servers do: `-1`, `1_0`, and the digits of every script."""
    text = str(environ.get(key) or "").strip(" \t")
    if not text:
        return None
    if not _DIGITS.fullmatch(text):
        name = key.removeprefix("HTTP_").replace("_", "-").lower()
        raise BadLength(f"{name} is {text!r:.40}, and not a number of bytes")
    return int(text)


def _uwsgi() -> Any:
    try:
        return importlib.import_module("uwsgi")  # the server's own module, which exists only inside it
    except ImportError:
        return None


class _UwsgiChunks:
    """A chunked body in uWSGI. The client decides how long its chunks are; excess bytes wait for the next read."""

    def __init__(self, uwsgi: Any) -> None:
        self._uwsgi = uwsgi
        self._rest = b""
        self._is_ended = False

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end. Raises OSError if the client is gone."""
        if not self._rest and not self._is_ended:
            self._rest = self._uwsgi.chunked_read()
            self._is_ended = not self._rest
        part, self._rest = self._rest[:size], self._rest[size:]
        return part
