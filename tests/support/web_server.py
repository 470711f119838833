"""A web server on loopback that does what a script says, byte by byte: also what no library would send."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from .images.signatures import certificate, key, pem
from .services import Service


@dataclass(frozen=True)
class Request:
    """A request; `number` counts from 0. Names of headers are in lower case."""

    number: int
    method: str
    target: str
    headers: dict[str, str]
    begin: bytes = b""
    """What came of the content with the headers."""


Script = Callable[[Request, socket.socket], None]


class WebServer(Service):
    """Runs `script` for each request. `requests` has all of them. `tls` is the context of a server with TLS."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self._script = script
        self._tls = tls
        super().__init__(self._answer)
        self.port = int(self.target.rpartition(":")[2])

    def _answer(self, connection: socket.socket) -> None:
        if self._tls is not None:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except ssl.SSLError:
                return
        with connection:
            request = self._read(connection)
            if request is not None:
                self.requests.append(request)
                self._script(request, connection)
                if self._tls is not None:
                    with contextlib.suppress(OSError):
                        connection.unwrap()  # type: ignore[attr-defined]

    def _read(self, connection: socket.socket) -> Request | None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(65536)
            if not data:
                return None
            head += data
        head, _, begin = head.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return Request(len(self.requests), method, target, headers, begin)


def reply(connection: socket.socket, status: int, body: bytes = b"", **headers: object) -> None:
    """Send an answer; `Content_Length` and other headers replace what fits the body, None leaves a header out."""
    fields = {"Content_Length": len(body), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value is not None]
    connection.sendall("\r\n".join([f"HTTP/1.1 {status} X", *lines, "", ""]).encode("latin-1") + body)


def image(content: bytes, *, etag: str | None = '"v1"', ranges: bool = True) -> Script:
    """A server of one image, as RFC 9110 wants it."""

    def script(request: Request, connection: socket.socket) -> None:
        headers = {"ETag": etag, "Accept_Ranges": "bytes" if ranges else "none"}
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if wanted and ranges and request.headers.get("if-range", etag) == etag:
            first = int(wanted[1])
            span = f"bytes {first}-{len(content) - 1}/{len(content)}"
            reply(connection, 206, content[first:], Content_Range=span, **headers)
        else:
            reply(connection, 200, content, **headers)

    return script


def server_context(folder: Path, host: str, *, days: tuple[int, int] = (-1, 30)) -> tuple[ssl.SSLContext, Path]:
    """The context of a TLS server for `host`, and the file with the authority that signed its certificate."""
    authority = certificate("authority", ca=True)
    names = x509.SubjectAlternativeName([x509.DNSName(host)])
    own = certificate(f"server of {host}", "authority", days=days, extensions=((names, False),))
    (folder / "authority.pem").write_bytes(pem(authority))
    private = key(f"server of {host}").private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(pem(own) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context, folder / "authority.pem"
