"""One HTTP request and its answer, over a connection that is kept. What goes wrong on the line is an OSError."""

from __future__ import annotations

import contextlib
import http
import http.client
import json
import re
import select
import socket
import ssl
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec

from douane import __version__
from douane.errors import PlanError, UploadError

ANSWER_BYTES = 4 << 20
"""Of an answer; the rest is not read."""
SILENT_SECONDS = 60.0
"""How long the other side may say nothing. An answer may take twice as long from the end of the request to its end."""
INTERIM_ANSWERS = 100
"""So many answers with a status below 200 are passed over before the final one."""
SENTENCE_LENGTH = 2000


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
        except (ValueError, RecursionError):
            return {}

    def sentence(self) -> str:
        """Why the request failed, as the service says it: `douane serve` in JSON, Glance in plain text."""
        document = self.document()
        error = document.get("error") if isinstance(document, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        words = message.split() if isinstance(message, str) else self._plain_words()
        return " ".join(words)[:SENTENCE_LENGTH] or f"the service answers with status {self.status}"

    def _plain_words(self) -> list[str]:
        """Of a body without markup: ``403 Forbidden``, an empty line, and the sentence."""
        if not self.headers.get("content-type", "").startswith("text/plain"):
            return []
        title, _, rest = self.body.decode(errors="replace").strip().partition("\n")
        return (rest if title.startswith(f"{self.status} ") else f"{title} {rest}").split()


def number(text: str | None) -> int | None:
    """The number of bytes that a header says; None if it says none."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > _DIGITS:
        return None
    return int(text)


_DIGITS = 18


class _FinalAnswer(http.client.HTTPResponse):
    """Passes interim answers over, such as 104; the library does so with 100 alone, and without end."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(INTERIM_ANSWERS):
            line: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]  # not in the library's stubs
            if line[1] == http.HTTPStatus.SWITCHING_PROTOCOLS or not 100 <= line[1] < 200:
                return line
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException("interim answers without end")


class Line:
    """A connection to one server, made anew when it was closed. A context manager."""

    def __init__(self, url: str, ca_file: str | None = None, seconds: float = SILENT_SECONDS) -> None:
        """`url` may have a path, which every request's path follows. Raises PlanError."""
        try:
            place = urlsplit(url)
            host, port = place.hostname, place.port
        except ValueError:
            host, port = None, None
        if host is None or place.scheme not in ("http", "https"):
            raise PlanError(f"{url!r:.200} is no URL of an image service: http://HOST or https://HOST is expected")
        self._prefix = place.path.rstrip("/")
        self._place = (host, port)
        self._origin = f"{place.scheme}://{place.netloc}"
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
            return self._exchange(method, self._target(path), headers, body)
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise LineBroken(f"{type(error).__name__}: {error}") from error
        except BaseException:
            self.close()
            raise

    def open(self, path: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """Request a body that is read from the answer; then close the line. Raises LineBroken."""
        try:
            connection = self._connected()
            every = {"User-Agent": f"douane/{__version__}", **headers}
            _put_head(connection, "GET", self._target(path), every)
            connection.endheaders()
            connection.response_class = _FinalAnswer
            return connection.getresponse()
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise LineBroken(f"{type(error).__name__}: {error}") from error

    def path_of(self, location: str, path: str) -> str:
        """The path of a `location` that the server has said in an answer to a request of `path`. Raises UploadError if
        it is on another server: nothing is sent there, and least of all a token."""
        try:
            place = urlsplit(urljoin(self._origin + self._target(path), location))
            host = place.hostname
        except ValueError:
            host = None
        if host != self._place[0].lower() or not _PATH.fullmatch(location):
            raise UploadError(
                f"the upload is not begun: the service says that it is at {location!a:.200}, which is no place at "
                f"{self._place[0]}",
                code="request-refused",
            )
        return place.path + (f"?{place.query}" if place.query else "")

    def _target(self, path: str) -> str:
        """A path that the server itself has said may begin with the prefix already."""
        return path if self._prefix and path.startswith(f"{self._prefix}/") else self._prefix + path

    def _exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None
    ) -> Answer:
        connection = self._connected()
        is_stream = body is not None and not isinstance(body, bytes)
        every = {"User-Agent": f"douane/{__version__}", **headers}
        if isinstance(body, bytes):
            every["Content-Length"] = str(len(body))
        is_chunked = is_stream and "Content-Length" not in every
        if is_chunked:
            every["Transfer-Encoding"] = "chunked"
        _put_head(connection, method, target, every)
        connection.endheaders(body if isinstance(body, bytes) else None)
        is_sent = True
        if body is not None and not isinstance(body, bytes):
            is_sent = self._send(connection, body, is_chunked=is_chunked)
        # An answer that came before the end of the body is taken as it is: the server may wait for the rest.
        connection.response_class = _FinalAnswer if is_sent else http.client.HTTPResponse
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
        # Each byte resets the time of the socket, so that a server which drips would hold us for ever.
        is_late = threading.Event()
        timer = threading.Timer(2 * self._seconds, _cut, (connection.sock, is_late))
        timer.daemon = True
        timer.start()
        try:
            response = connection.getresponse()
            data = response.read(ANSWER_BYTES)
        finally:
            timer.cancel()
        if is_late.is_set():
            raise LineBroken("the answer did not come to its end in time")
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


def _put_head(connection: http.client.HTTPConnection, method: str, target: str, headers: Mapping[str, str]) -> None:
    """Raises PlanError without the value, which may be a token, if it cannot be sent."""
    what = f"the path {target!a:.200}"
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            what = f"the value of the header {name}"
            connection.putheader(name, value)
    except (ValueError, http.client.InvalidURL):
        raise PlanError(f"{what} has characters that cannot be sent") from None


_PATH = re.compile(r"[!-~]+")


def _cut(connection: socket.socket, is_late: threading.Event) -> None:
    """End a connection that another thread reads. The method of a TLS socket would take its state away from it."""
    is_late.set()
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _has_answer(connection: http.client.HTTPConnection) -> bool:
    """True if there is something to read: an answer, or the end of the connection."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
