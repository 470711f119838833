"""An unfinished upload: the connection is open, and a part is sent."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from types import TracebackType

from .http import Api, Reply
from .images import OCTETS


class HalfUpload:
    """A PUT to `stage` or `file` with a Content-Length, and other `headers`, of which `sent` bytes are sent."""

    def __init__(
        self, api: Api, image: str, action: str, data: bytes, sent: int, headers: Mapping[str, str] | None = None
    ) -> None:
        assert api.token is not None
        self._rest = data[sent:]
        self._connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=200)
        self._connection.putrequest("PUT", f"/v2/images/{image}/{action}")
        fields = {**OCTETS, "X-Auth-Token": api.token, "Content-Length": str(len(data)), **(headers or {})}
        for name, value in fields.items():
            self._connection.putheader(name, value)
        self._connection.endheaders()
        self._connection.send(data[:sent])

    def finish(self) -> Reply:
        """Send the rest, and return the response, which may come earlier. Raises OSError or HTTPException."""
        try:
            self._connection.send(self._rest)
        except (BrokenPipeError, ConnectionResetError):
            assert self._connection.sock is not None
            response = http.client.HTTPResponse(self._connection.sock, method="PUT")
            response.begin()
        else:
            response = self._connection.getresponse()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def close(self) -> None:
        """Close the connection in the middle. Idempotent."""
        self._connection.close()

    def __enter__(self) -> HalfUpload:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()
