"""One request about the bucket itself, signed as AWS Signature Version 4 demands: obstore has none of these calls.

Reference: "Authenticating Requests (AWS Signature Version 4)" in the Amazon S3 API Reference.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
ANSWER_BYTES = 1 << 20


@dataclass(frozen=True, repr=False)
class Signer:
    """Who asks: the credentials, and the region."""

    access_key: str
    secret_key: str
    session_token: str | None
    region: str

    def headers(self, method: str, url: str, content: bytes, now: datetime) -> dict[str, str]:
        """The headers of a request to `url`, whose query is in the canonical order."""
        parts = urlsplit(url)
        stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        digest = hashlib.sha256(content).hexdigest()
        signed = {"host": parts.netloc, "x-amz-content-sha256": digest, "x-amz-date": stamp}
        if self.session_token:
            signed["x-amz-security-token"] = self.session_token
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        request = "\n".join((method, parts.path or "/", parts.query, lines, names, digest))
        scope = f"{day}/{self.region}/s3/aws4_request"
        text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
        key = f"AWS4{self.secret_key}".encode()
        for part in (day, self.region, "s3", "aws4_request", text):
            key = hmac.digest(key, part.encode(), "sha256")
        credential = f"{self.access_key}/{scope}"
        return {
            **{name: value for name, value in signed.items() if name != "host"},
            "authorization": f"{_ALGORITHM} Credential={credential},SignedHeaders={names},Signature={key.hex()}",
        }


def ask(
    signer: Signer,
    method: str,
    url: str,
    query: Mapping[str, str],
    *,
    content: bytes = b"",
    ca: str | None = None,
    timeout: float,
) -> tuple[int, bytes]:
    """The status and the content of the answer. Raises OSError if there is none after `timeout` seconds."""
    text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items()))
    url = f"{url}?{text}" if text else url
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cadata=ca)
        connection = http.client.HTTPSConnection(parts.netloc, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    try:
        with _ended_after(timeout, connection):
            target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            connection.request(
                method, target, body=content, headers=signer.headers(method, url, content, datetime.now(UTC))
            )
            answer = connection.getresponse()
            return answer.status, answer.read(ANSWER_BYTES)
    except http.client.HTTPException as error:
        raise OSError(f"the server's answer is no HTTP: {error!r:.200}") from error
    finally:
        connection.close()


@contextmanager
def _ended_after(seconds: float, connection: http.client.HTTPConnection) -> Iterator[None]:
    """Raise TimeoutError if the block takes longer: the timeout of a socket begins again with each byte."""
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        if connection.sock is not None:
            with suppress(OSError):
                # Not the method of an SSLSocket, which another thread reads.
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if not is_late.is_set():
            raise
    finally:
        timer.cancel()
    if is_late.is_set():
        raise TimeoutError(f"there is no whole answer after {seconds:g} seconds")
