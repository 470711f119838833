"""The import method ``web-download``: an image from an https or http server, byte by byte as the server has it.

A body that is shorter than was announced, or that changed between two connections, is an error and never an image.
"""

from __future__ import annotations

import hashlib
import random
import socket
import ssl

import msgspec

from douane.errors import SourceError
from douane.imports.settings.structs import ServeSettings, WebDownloadSettings
from douane.stream.ring import Ring
from douane.stream.wakeups import Wakeups
from douane.units import show_exact_size

from .connection import Pace, Resolver, system_resolver
from .request import BROKEN, Answer, WebClient, explain
from .url import WebUrl, parse_url

BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0
FIRST_BYTES = 4096
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_EXPIRED = frozenset({401, 403, 404, 410})
"""What a URL to which we were redirected answers when it is too old."""


class Probe(msgspec.Struct, frozen=True):
    """What a first look at a URL shows."""

    host: str
    size: int | None
    """Bytes of the image, if the server says."""

    first_bytes: bytes


def probe(url: str, settings: ServeSettings, *, resolver: Resolver = system_resolver) -> Probe:
    """Resolve, connect, and read the first bytes, within ``probe_timeout``. Raises SourceError, with a sentence for the
    tenant that holds the name of the host."""
    web = _limited(settings)
    parsed = parse_url(url, web)
    pace = Pace(parsed.host, web, web.probe_timeout)
    try:
        answer = WebClient(web, resolver).get(parsed, pace)
        try:
            _check(answer, web)
            return Probe(parsed.host, answer.length, next(answer.body(), b"")[:FIRST_BYTES])
        finally:
            answer.close()
    except BROKEN as error:
        raise SourceError(explain(parsed, error), code="not-downloaded") from error
    except SourceError as error:
        if error.code == "too-slow":  # the server is, and not the client whom the answer is for
            raise SourceError(f"{parsed.host} does not answer in time: {error}", code="not-downloaded") from error
        raise


class WebSource:
    """A :class:`~douane.stream.source.Source`: it has connected, so that its size is known if the server says."""

    def __init__(self, url: str, settings: ServeSettings, *, resolver: Resolver = system_resolver) -> None:
        """Connect. Raises SourceError."""
        self._settings = _limited(settings)
        self._url = parse_url(url, self._settings)
        self._client = WebClient(self._settings, resolver)
        self._pace = Pace(self._url.host, self._settings, self._settings.timeout)
        self._digest = hashlib.new(self._url.digest[0], usedforsecurity=False) if self._url.digest else None
        self._total = 0
        self._failures = 0
        self.name = f"the image at {self._url.host}"
        self._answer = self._connect()
        self.size: int | None = self._answer.length
        self._validator = self._answer.validator

    def pump(self, ring: Ring) -> None:
        """See :class:`~douane.stream.source.Source`."""
        self._pace.watch(ring.stop_fd)
        writer = _SlotWriter(ring)
        while True:
            begin = self._total
            try:
                for data in self._answer.body():
                    self._add(data)
                    writer.write(data)
                break
            except BROKEN as error:
                self._answer.close()
                self._failures = 0 if self._total > begin else self._failures
                self._answer = self._resume(error)
        writer.finish()
        self._check_end()

    def file(self) -> int | None:
        """None: the bytes can be read once only."""
        return None

    def close(self) -> None:
        """See :class:`~douane.stream.source.Source`."""
        self._answer.close()

    def _add(self, data: bytes) -> None:
        self._total += len(data)
        _check_size(self._url, self._total, self._settings)
        if self._digest is not None:
            self._digest.update(data)

    def _check_end(self) -> None:
        if self.size is not None and self._total != self.size:
            code = "truncated" if self._total < self.size else "longer-than-announced"
            raise SourceError(f"{self.name} has {self._total} of the announced {self.size} bytes", code=code)
        if self._digest is None or self._url.digest is None:
            return
        name, expected = self._url.digest
        if self._digest.hexdigest() != expected:
            raise SourceError(
                f"{self.name} has the {name} {self._digest.hexdigest()}, and not {expected}, which the URL asks for",
                code="wrong-digest",
            )

    def _connect(self) -> Answer:
        """The answer with the beginning of the image, after as many attempts as allowed. Raises SourceError."""
        while True:
            try:
                answer = self._client.get(self._url, self._pace)
            except BROKEN as error:
                self._wait(explain(self._url, error), error)
                continue
            if answer.status not in TRANSIENT:
                try:
                    _check(answer, self._settings)
                except BaseException:
                    answer.close()
                    raise
                return answer
            answer.close()
            self._wait(f"{self._url.host} answered {answer.status}")

    def _resume(self, error: Exception) -> Answer:
        """The answer with the rest of the image, from the byte that is missing. Raises SourceError."""
        reason = explain(self._answer.url, error)
        if self._total == 0:
            self._wait(reason, error)
            answer = self._connect()
            self.size, self._validator = answer.length, answer.validator
            return answer
        if self._validator is None or self._answer.headers.get("accept-ranges", "").strip().lower() == "none":
            raise SourceError(
                f"{reason} after {self._total} bytes, and the server does not let a download continue: it gives no "
                "ETag and no time of the last change, or no ranges",
                code="truncated",
            )
        headers = {"Range": f"bytes={self._total}-", "If-Range": self._validator}
        url, failure = self._answer.url, error
        while True:
            self._wait(f"{reason} after {self._total} bytes", failure)
            try:
                answer = self._client.get(url, self._pace, headers)
            except BROKEN as broken:
                reason, failure = explain(url, broken), broken
                continue
            if answer.status == 206:
                self._check_part(answer)
                return answer
            answer.close()
            if answer.status in _EXPIRED and url != self._url:
                url = self._url  # whoever redirected us there may do so again
            elif answer.status not in TRANSIENT:
                raise self._changed(f"it answered {answer.status} when the rest was asked for")

    def _check_part(self, answer: Answer) -> None:
        """Raise SourceError unless `answer` continues the image of which we have the beginning."""
        part = answer.content_range
        tag = answer.headers.get("etag", "").strip()
        problem = None
        if part is None or part[0] != self._total:
            problem = "it sent other bytes than were asked for"
        elif self.size is not None and part[1:] != (self.size - 1, self.size):
            problem = "its length is another now"
        elif part[2] is None or part[1] != part[2] - 1 or answer.length not in (None, part[2] - part[0]):
            problem = "it sent a part of what was asked for"
        elif self._validator is not None and self._validator.startswith('"') and tag not in ("", self._validator):
            problem = "its ETag is another now"
        elif answer.is_encoded or not answer.has_an_end:
            problem = "it sent the rest in another form"
        if problem is not None or part is None:
            answer.close()
            raise self._changed(problem or "")
        self.size = part[2]

    def _changed(self, problem: str) -> SourceError:
        return SourceError(
            f"{self.name} changed during its download, or the server cannot continue one: after {self._total} bytes "
            f"the connection broke, and {problem}",
            code="changed-while-read",
        )

    def _wait(self, reason: str, cause: Exception | None = None) -> None:
        """Wait before the next attempt; longer each time. Raises SourceError after the last."""
        self._failures += 1
        if self._failures >= self._settings.attempts or _is_final(cause):
            code = "truncated" if self._total else "not-downloaded"
            raise SourceError(reason, code=code) from cause
        seconds = min(BACKOFF_SECONDS * 2 ** (self._failures - 1), MAX_BACKOFF_SECONDS)
        self._pace.sleep(seconds * random.uniform(0.5, 1.0))


class _SlotWriter:
    """Fills the slots of a ring with pieces of any length."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._wakeups = Wakeups()
        self._place = -1
        self._filled = 0

    def write(self, data: bytes) -> None:
        """Raises RingStopped."""
        rest = memoryview(data)
        while rest:
            if self._place < 0:
                self._place, self._filled = self._ring.reserve(), 0
            length = min(len(rest), self._ring.slot_bytes - self._filled)
            begin = self._place + self._filled
            self._ring.view[begin : begin + length] = rest[:length]
            self._filled += length
            rest = rest[length:]
            if self._filled == self._ring.slot_bytes:
                self.finish()

    def finish(self) -> None:
        """Publish what is in the last slot."""
        if self._place >= 0:
            self._ring.publish(self._place, self._filled, spread=self._wakeups.spread(self._ring))
            self._place = -1


class WebDownload:
    """See :class:`~douane.imports.base.ImportMethod`."""

    def open(self, location: str, *, size: int | None = None, settings: ServeSettings | None = None) -> WebSource:
        """Connect to the URL `location`. Raises SourceError."""
        return WebSource(location, settings or ServeSettings())


def _is_final(error: Exception | None) -> bool:
    """True if another attempt would bring the same error."""
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_NONAME
    return isinstance(error, ssl.SSLCertVerificationError)


def _limited(settings: ServeSettings) -> WebDownloadSettings:
    web = settings.web_download
    return web if web.max_size is not None else msgspec.structs.replace(web, max_size=settings.max_image_size)


def _check(answer: Answer, settings: WebDownloadSettings) -> None:
    """Raise SourceError unless `answer` is a whole image."""
    host = answer.url.host
    if answer.status != 200:
        raise SourceError(f"{host} answered {answer.status} to the request for the image", code="not-downloaded")
    if answer.is_encoded:
        raise SourceError(
            f"{host} sends the image with a Content-Encoding, though none was asked for; a compressed file must be "
            "served as it is",
            code="not-downloaded",
        )
    if not answer.has_an_end:
        raise SourceError(
            f"{host} does not say how long the image is, so that a download that breaks off could not be told from a "
            "complete one",
            code="not-downloaded",
        )
    if answer.length is not None:
        _check_size(answer.url, answer.length, settings)


def _check_size(url: WebUrl, size: int, settings: WebDownloadSettings) -> None:
    if settings.max_size is not None and size > settings.max_size:
        raise SourceError(
            f"the image at {url.host} is larger than {show_exact_size(settings.max_size)}, which is allowed",
            code="longer-than-announced",
        )
