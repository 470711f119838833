"""One HTTP request and its answer, over a connection that is kept. What goes wrong on the line is an OSError."""

from __future__ import annotations

import http.client
import json
import select
import ssl
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from douane import __version__
from douane.errors import PlanError

ANSWER_BYTES = 4 << 20
"""Of an answer; the rest is not read."""
SILENT_SECONDS = 60.0
"""How long the other side may say nothing."""


class LineBroken(OSError):
    """The connection broke, or the other side does not speak HTTP."""


class Answer(msgspec.Struct, frozen=True):
    """What came back; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    def document(self) -> Any:
        """The body as JSON; an empty object if it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    def sentence(self) -> str:
        """Why the request failed, as the service says it."""
        document = self.document()
        error = document.get("error") if isinstance(document, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        return message if isinstance(message, str) and message else f"the service answers with status {self.status}"


class Line:
    """A connection to one server, made anew when it was closed. A context manager."""

    def __init__(self, url: str, ca_file: str | None = None, seconds: float = SILENT_SECONDS) -> None:
        """`url` may have a path, which every request's path follows. Raises PlanError."""
        place = urlsplit(url)
        if place.scheme not in ("http", "https") or not place.hostname:
            raise PlanError(f"{url!r:.200} is no URL of an image service: http://HOST or https://HOST is expected")
        self._prefix = place.path.rstrip("/")
        self._place = (place.hostname, place.port)
        self._seconds = seconds
        self._context: ssl.SSLContext | None = None
        if place.scheme == "https":
            try:
                self._context = ssl.create_default_context(cafile=ca_file)
            except OSError as error:
                raise PlanError(f"the certificates in {ca_file} cannot be read: {error}") from error
        self._connection: http.client.HTTPConnection | None = None

    def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None = None
    ) -> Answer:
        """Send a request. An iterable body without a Content-Length is sent in chunks; it is not read to its end if the
        answer comes before. Raises LineBroken, and what the iterable raises."""
        try:
            return self._exchange(method, path if path.startswith("//") else self._target(path), headers, body)
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise LineBroken(f"{type(error).__name__}: {error}") from error
        except BaseException:
            self.close()
            raise

    def _target(self, path: str) -> str:
        """A path that the server itself has said may begin with the prefix already."""
        return path if self._prefix and path.startswith(f"{self._prefix}/") else self._prefix + path

    def _exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None
    ) -> Answer:
        connection = self._connected()
        connection.putrequest(method, target, skip_accept_encoding=True)
        is_stream = body is not None and not isinstance(body, bytes)
        every = {"User-Agent": f"douane/{__version__}", **headers}
        if isinstance(body, bytes):
            every["Content-Length"] = str(len(body))
        is_chunked = is_stream and "Content-Length" not in every
        if is_chunked:
            every["Transfer-Encoding"] = "chunked"
        for name, value in every.items():
            connection.putheader(name, value)
        connection.endheaders(body if isinstance(body, bytes) else None)
        is_sent = True
        if body is not None and not isinstance(body, bytes):
            is_sent = self._send(connection, body, is_chunked=is_chunked)
        answer = self._answer(connection)
        if not is_sent:  # another request would be taken for the rest of the body
            self.close()
        return answer

    def _send(self, connection: http.client.HTTPConnection, body: Iterable[bytes], *, is_chunked: bool) -> bool:
        """False if the answer came before the end of the body."""
        for piece in body:
            if _has_answer(connection):
                return False
            try:
                connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            except OSError:
                if _has_answer(connection):  # it says why the server reads no more
                    return False
                raise
        if is_chunked:
            connection.send(b"0\r\n\r\n")
        return True

    def _answer(self, connection: http.client.HTTPConnection) -> Answer:
        response = connection.getresponse()
        data = response.read(ANSWER_BYTES)
        if response.will_close or not response.isclosed():
            self.close()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, data)

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is not None and _has_answer(self._connection):  # closed meanwhile, or out of step
            self.close()
        if self._connection is None:
            host, port = self._place
            if self._context is not None:
                self._connection = http.client.HTTPSConnection(host, port, timeout=self._seconds, context=self._context)
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=self._seconds)
            self._connection.connect()
        return self._connection

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _has_answer(connection: http.client.HTTPConnection) -> bool:
    """True if there is something to read: an answer, or the end of the connection."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
