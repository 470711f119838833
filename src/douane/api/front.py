"""The outermost part of the application: what must happen before the framework sees a request, and after its answer.

The framework would wait for the first piece of a body before it routes, and would end with the answer. Here the body
stays unread until a resource wants it, and what is left of a refused upload is thrown away after the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from .documents.paths import read_path
from .errors import HttpError, bad_request
from .requests.bounds import HEADERS_BYTES
from .transfer.request_body import Receive, RequestBody

log = logging.getLogger("douane.api")

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

BODY = "douane.body"
REFUSAL = "douane.refusal"
"""Keys of the scope: the body, and an HttpError that was raised before routing."""


class ClientStalled(Exception):
    """The client reads nothing of its answer."""


class Front:
    """An ASGI application around another."""

    def __init__(self, application: Application, silence: float) -> None:
        """`silence` is how many seconds a client may send nothing of its body."""
        self._application = application
        self._silence = silence

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = RequestBody(receive, headers, self._silence)
        scope[BODY] = body
        try:
            check_headers(scope["headers"])
            scope["path"] = read_path(scope.get("raw_path") or scope["path"].encode(), scope["path"])
        except HttpError as error:
            scope[REFUSAL] = error
        answer = Answer(send, body, self._silence)
        try:
            await self._application(scope, body.asgi_receive, answer.send)
            await body.drain()
        except ClientStalled:
            log.info("a client read nothing for %.0f seconds, and was dropped", self._silence)
        finally:
            # An error's traceback holds the framework's frames, in a cycle that lives until the next collection. With
            # the server's own objects in it, a connection that is to be closed would stay open until then.
            body.release()
            answer.release()


def check_headers(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raise HttpError 400 or 431 for headers that two programs could understand in two ways, or that are too long."""
    if sum(len(name) + len(value) for name, value in headers) > HEADERS_BYTES:
        raise HttpError(431, f"The headers have more than {HEADERS_BYTES} bytes.")
    names = [name for name, _ in headers]
    for name in (b"content-length", b"transfer-encoding", b"host", b"x-auth-token"):
        if names.count(name) > 1:
            raise bad_request(f"The header {name.decode().title()} occurs more than once.")
    if b"content-length" in names and b"transfer-encoding" in names:
        raise bad_request("The request has a Content-Length and a Transfer-Encoding; it may have one of them.")
    for name, value in headers:
        if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            raise HttpError(501, "The only Transfer-Encoding that is known is 'chunked'.")


class Answer:
    """The sending side of one request."""

    def __init__(self, send: Send, body: RequestBody, silence: float) -> None:
        self._send: Send | None = send
        self._silence = silence
        self._body = body

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send an event. The answer says that the connection ends if the rest of the body would have to be skipped (RFC
        9112, section 9.3), and after every chunked body: the server below takes a request with both lengths as chunked,
        without a word, and must not read another from that connection (section 6.1)."""
        assert self._send is not None, "the request has not ended"
        if message["type"] == "http.response.start" and (self._body.is_chunked or not self._body.is_complete):
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        if not message.get("more_body"):
            await self._send(message)
            return
        # A client that reads nothing would hold an open file for ever.
        try:
            async with asyncio.timeout(self._silence):
                await self._send(message)
        except TimeoutError:
            raise ClientStalled from None

    def release(self) -> None:
        """Forget the server's side. Idempotent."""
        self._send = None
