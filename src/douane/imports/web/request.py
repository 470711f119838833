"""One request to a server on the web, with its redirects, and the answer."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping

import httpcore

from douane.errors import SourceError
from douane.imports.settings.structs import WebDownloadSettings

from .connection import Pace, Resolver, Stalled, open_connection
from .url import DEFAULT_PORTS, WebUrl, parse_redirect

REDIRECTS = frozenset({301, 302, 303, 307, 308})
USER_AGENT = "douane-web-download"
BROKEN: tuple[type[Exception], ...] = (OSError, httpcore.ProtocolError, httpcore.NetworkError, httpcore.ProxyError)
"""Errors after which another attempt may succeed."""

_CONTENT_RANGE = re.compile(r"bytes (?P<first>[0-9]{1,19})-(?P<last>[0-9]{1,19})/(?P<total>[0-9]{1,19}|\*)", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)


class Answer:
    """The answer to a request: its header is there, its body is read from the connection."""

    def __init__(
        self, url: WebUrl, response: httpcore.Response, connection: httpcore.HTTPConnection | httpcore.HTTPProxy
    ) -> None:
        self.url = url
        """The URL that answered, after all redirects."""

        self.status = response.status
        self.headers: dict[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
        }
        self._response = response
        self._connection = connection

    def body(self) -> Iterator[bytes]:
        """The body in pieces. Raises one of `BROKEN` if it breaks off."""
        return iter(self._response.iter_stream())

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._connection.close()

    @property
    def length(self) -> int | None:
        """Content-Length; None without."""
        text = self.headers.get("content-length", "")
        return int(text) if _NUMBER.fullmatch(text) else None

    @property
    def has_an_end(self) -> bool:
        """False if the end of the body is that of the connection, so that nobody could tell a cut from the end."""
        chunked = self.headers.get("transfer-encoding", "").strip().lower() == "chunked"
        return chunked or self.length is not None

    @property
    def is_encoded(self) -> bool:
        """True if the body is compressed, though we asked for it as it is."""
        return self.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")

    @property
    def content_range(self) -> tuple[int, int, int | None] | None:
        """First byte, last byte and length of the image (None if the server does not say), of an answer with a part."""
        match = _CONTENT_RANGE.fullmatch(self.headers.get("content-range", "").strip())
        if match is None:
            return None
        return int(match["first"]), int(match["last"]), None if match["total"] == "*" else int(match["total"])

    @property
    def validator(self) -> str | None:
        """For If-Range (RFC 9110, 13.1.5): a strong ETag, or the time of the last change; None without either."""
        tag = self.headers.get("etag", "").strip()
        if tag.startswith('"'):
            return tag
        return self.headers.get("last-modified", "").strip() or None


class WebClient:
    """Sends requests under the rules of `settings`."""

    def __init__(self, settings: WebDownloadSettings, resolver: Resolver) -> None:
        self._settings = settings
        self._resolver = resolver

    def get(self, url: WebUrl, pace: Pace, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer to GET, after redirects. Raises SourceError, RingStopped, and one of `BROKEN`."""
        for _ in range(self._settings.redirects + 1):
            answer = self._request(url, pace, headers or {})
            if answer.status not in REDIRECTS:
                return answer
            answer.close()
            location = answer.headers.get("location")
            if location is None:
                raise SourceError(
                    f"{url.host} answered {answer.status}, a redirect that leads nowhere", code="not-downloaded"
                )
            url = parse_redirect(location, url, self._settings)
        raise SourceError(
            f"{url.host} redirects more than {self._settings.redirects} times; name the URL of the image itself",
            code="not-downloaded",
        )

    def _request(self, url: WebUrl, pace: Pace, extra: Mapping[str, str]) -> Answer:
        headers = {
            "Host": url.netloc,
            "User-Agent": USER_AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **extra,
        }
        if url.authorization is not None:
            headers["Authorization"] = url.authorization
        port = None if url.port == DEFAULT_PORTS[url.scheme] else url.port
        target = httpcore.URL(scheme=url.scheme, host=url.host, port=port, target=url.target)
        connection = open_connection(url, self._settings, self._resolver, pace)
        try:
            response = connection.handle_request(httpcore.Request("GET", target, headers=list(headers.items())))
        except BaseException:
            connection.close()
            raise
        pace.end_phase()
        return Answer(url, response, connection)


def explain(url: WebUrl, error: Exception) -> str:
    """Why a connection failed, in words for a tenant: no address, and nothing that the server sent."""
    if isinstance(error, socket.gaierror):
        return f"the host {url.host} has no address"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {url.host} is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"{url.host} does not speak TLS as expected"
    if isinstance(error, Stalled):
        return str(error)
    if isinstance(error, ConnectionRefusedError):
        return f"{url.host} accepts no connections on port {url.port}"
    if isinstance(error, httpcore.RemoteProtocolError):
        return f"{url.host} closed the connection too early, or does not speak HTTP as expected"
    if isinstance(error, httpcore.ProxyError):
        return f"the proxy does not reach {url.host}"
    return f"the connection to {url.host} broke"
