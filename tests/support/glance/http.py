"""HTTP without a library that changes requests or responses."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reply:
    """A response; `body` is all of it."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, decoded. Raises ValueError."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")


class Api:
    """The API of a service, with a token."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self.port = port
        self.token = token

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        *,
        headers: dict[str, str] | None = None,
        chunked: bool = False,
        timeout: float = 100,
    ) -> Reply:
        """Send a request on a new connection. Raises OSError or http.client.HTTPException if there is no response.

        A server may answer and close before it has read everything: that response is returned.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        fields = dict(headers or {})
        if self.token is not None:
            fields["X-Auth-Token"] = self.token
        if chunked:
            fields["Transfer-Encoding"] = "chunked"
        try:
            try:
                connection.request(method, path, body, fields, encode_chunked=chunked)
            except (BrokenPipeError, ConnectionResetError):
                if connection.sock is None:
                    raise
                response = http.client.HTTPResponse(connection.sock, method=method)
                response.begin()
            else:
                response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def json(self, method: str, path: str, document: Any = None, *, content_type: str = "application/json") -> Reply:
        """Send a JSON document, and return the reply whatever its status."""
        body = None if document is None else json.dumps(document).encode()
        return self.request(method, path, body, headers={"Content-Type": content_type} if body is not None else {})

    def must(self, method: str, path: str, document: Any = None) -> Any:
        """Send a JSON document, and return the decoded reply. Raises AssertionError unless the status is 2xx."""
        reply = self.json(method, path, document)
        assert 200 <= reply.status < 300, f"{method} {path}: {reply.status} {reply.text}"
        return reply.json() if reply.body else None
