"""Asking Glance something on the user's behalf, in the middle of a request: through its own API, by its own door."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Headers = list[tuple[str, str]]

_OF_THE_BODY = ("CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "wsgi.input_terminated")
_OF_THE_ANSWER = ("HTTP_ACCEPT_ENCODING", "HTTP_RANGE", "HTTP_CONTENT_RANGE")  # it is to be plain, and all of it


@dataclass
class Answer:
    """What an application answered; `body` is all of it, for answers that are short."""

    status: str = ""
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    @property
    def code(self) -> int:
        """The status as a number; 0 if there was none."""
        return int(self.status[:3]) if self.status[:3].isdigit() else 0


def call(app: App, environ: dict[str, Any]) -> Answer:
    """Call a WSGI application and take its whole answer. Raises what it raises."""
    answer = Answer()
    written: list[bytes] = []

    def start_response(status: str, headers: Headers, _exc_info: Any = None) -> Callable[[bytes], object]:
        answer.status, answer.headers = status, list(headers)
        return written.append

    parts = app(environ, start_response)
    try:
        written.extend(parts)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    answer.body = b"".join(written)
    return answer


def ask(
    app: App, environ: dict[str, Any], method: str, path: str, *, body: bytes = b"", content_type: str | None = None
) -> Answer:
    """Another request by who sent `environ`: same user, same token. `path` is its PATH_INFO."""
    asked = {
        key: value
        for key, value in environ.items()
        if key not in (*_OF_THE_BODY, *_OF_THE_ANSWER) and not key.startswith("HTTP_IF_")
    }
    # What webob keeps of the first request (its parsed body, its route) is of no use to the second.
    asked = {key: value for key, value in asked.items() if not key.startswith(("webob._parsed", "wsgiorg.routing"))}
    asked |= {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "wsgi.input": io.BytesIO(body)}
    if "webob.adhoc_attrs" in asked:
        asked["webob.adhoc_attrs"] = dict(asked["webob.adhoc_attrs"])  # Glance's context of the user is in there
    if body or content_type:
        asked |= {"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": content_type or "application/octet-stream"}
    return call(app, asked)
