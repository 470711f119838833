"""Calling Glance's WSGI application: with a request as it came, or with another one for the same user."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Headers = list[tuple[str, str]]

_BODY_KEYS = ("CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "wsgi.input_terminated")
_RESPONSE_KEYS = ("HTTP_ACCEPT_ENCODING", "HTTP_RANGE", "HTTP_CONTENT_RANGE")  # the response must be plain and complete


@dataclass
class Response:
    """An application's response; `body` is all of it, which is short where this is used."""

    status: str = ""
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    @property
    def code(self) -> int:
        """The status as a number; 0 if there is none."""
        return int(self.status[:3]) if self.status[:3].isdigit() else 0

    @property
    def is_success(self) -> bool:
        """True for the statuses 200 to 299."""
        return 200 <= self.code < 300


def call(app: App, environ: dict[str, Any]) -> Response:
    """Call a WSGI application and collect its response. Raises what the application raises."""
    response = Response()
    written: list[bytes] = []

    def start_response(status: str, headers: Headers, _exc_info: Any = None) -> Callable[[bytes], object]:
        response.status, response.headers = status, list(headers)
        return written.append

    parts = app(environ, start_response)
    try:
        written.extend(parts)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    response.body = b"".join(written)
    return response


def send(
    app: App, environ: dict[str, Any], method: str, path: str, *, body: bytes = b"", content_type: str | None = None
) -> Response:
    """Send another request, with the user and the token of the request `environ`. `path` is its PATH_INFO.

    Raises what the application raises.
    """
    # What webob and routes keep of the first request (its parsed body, its route) is wrong for the second.
    dropped = (*_BODY_KEYS, *_RESPONSE_KEYS)
    prefixes = ("HTTP_IF_", "webob._parsed", "wsgiorg.routing")
    request = {key: value for key, value in environ.items() if key not in dropped and not key.startswith(prefixes)}
    request |= {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "wsgi.input": io.BytesIO(body)}
    if "webob.adhoc_attrs" in request:
        request["webob.adhoc_attrs"] = dict(request["webob.adhoc_attrs"])  # it holds Glance's context of the user
    if body or content_type:
        request |= {"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": content_type or "application/octet-stream"}
    return call(app, request)
