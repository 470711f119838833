"""What an S3 store sends: requests are signed with their bytes over plain HTTP, without over TLS, or as configured."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import pytest

from douane.errors import StoreError
from douane.stores import open_store
from support.web_server import Request, WebServer, server_context

ID = "11111111-2222-4333-8444-555555555555"
UNSIGNED = "UNSIGNED-PAYLOAD"


def answer(request: Request, connection: socket.socket) -> None:
    """A bucket in which only the identity is missing at first, and every object can be made."""
    length = int(request.headers.get("content-length", 0)) - len(request.begin)
    while length > 0:
        length -= len(connection.recv(length))
    status = b"404 Not Found" if request.method == "GET" else b"200 OK"
    body = b"<Error><Code>NoSuchKey</Code></Error>" if request.method == "GET" else b""
    connection.sendall(
        b'HTTP/1.1 %s\r\nETag: "x"\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' % (status, len(body), body)
    )


@pytest.fixture
def credentials(tmp_path: Path) -> str:
    path = tmp_path / "credentials"
    path.write_text("[default]\naws_access_key_id = key\naws_secret_access_key = secret\n")
    return str(path)


@pytest.mark.parametrize(
    ("scheme", "setting", "is_signed"),
    [
        ("http", None, True),
        ("http", True, False),
        ("https", None, False),
        ("https", False, True),
    ],
)
def test_the_bytes_are_signed_where_nothing_else_protects_them(
    tmp_path: Path, credentials: str, scheme: str, setting: bool | None, is_signed: bool
) -> None:
    context, authority = server_context(tmp_path, "localhost")
    server = WebServer(answer, context if scheme == "https" else None)
    options: dict[str, object] = {"endpoint": f"{scheme}://localhost:{server.port}", "credentials_file": credentials}
    if scheme == "https":
        options["ca_file"] = str(authority)
    if setting is not None:
        options["unsigned_payload"] = setting
    try:
        identity = open_store("s3://bucket/prefix", options).identity()
    finally:
        server.stop()
    put = next(request for request in server.requests if request.method == "PUT")
    assert put.target == "/bucket/prefix/store-id"
    assert put.headers["if-none-match"] == "*"
    expected = hashlib.sha256(identity.encode()).hexdigest() if is_signed else UNSIGNED
    assert put.headers["x-amz-content-sha256"] == expected
    assert "Credential=key/" in put.headers["authorization"]


def test_a_server_whose_certificate_nobody_vouches_for_is_not_used(tmp_path: Path, credentials: str) -> None:
    context, _ = server_context(tmp_path, "localhost")
    server = WebServer(answer, context)
    options = {"endpoint": f"https://localhost:{server.port}", "credentials_file": credentials, "retries": 0}
    try:
        with pytest.raises(StoreError) as raised:
            open_store("s3://bucket", options).identity()
    finally:
        server.stop()
    assert raised.value.code == "store-away"
    assert server.requests == [], "no request was sent"
