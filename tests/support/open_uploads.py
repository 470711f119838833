"""A client of open uploads (draft-ietf-httpbis-resumable-upload) that can break its lines off."""

from __future__ import annotations

import socket
from typing import Any

import httpx

from .serve import Serve

VERSION = {"Upload-Draft-Interop-Version": "8"}
IMAGE = {"Content-Type": "application/octet-stream", **VERSION}
PART = {"Content-Type": "application/partial-upload", **VERSION}


def begin(
    serve: Serve, image_id: str, door: str = "file", *, length: int | None = None, first: bytes = b""
) -> httpx.Response:
    """The answer to the request that begins an upload."""
    headers = {**IMAGE, "Upload-Complete": "?0"}
    if length is not None:
        headers["Upload-Length"] = str(length)
    return serve.client.put(f"/v2/images/{image_id}/{door}", content=first, headers=headers)


def opened(serve: Serve, image_id: str, door: str = "file", **more: Any) -> str:
    """The path of a new upload."""
    response = begin(serve, image_id, door, **more)
    assert response.status_code == 201, response.text
    return str(response.headers["location"])


def append(serve: Serve, path: str, data: Any, offset: int, *, last: bool = False, **more: str) -> httpx.Response:
    """The answer to a part; `data` may be an iterator, which is sent in chunks."""
    headers = {**PART, "Upload-Offset": str(offset), "Upload-Complete": f"?{int(last)}", **more}
    return serve.client.patch(path, content=data, headers=headers)


def offset_of(serve: Serve, path: str) -> int:
    """The offset that the service says."""
    response = serve.client.head(path, headers=VERSION)
    assert response.status_code == 204, response.status_code
    return int(response.headers["upload-offset"])


def begin_part(
    serve: Serve, path: str, offset: int, size: int, data: bytes, *, last: bool = True, awaits_turn: bool = False
) -> socket.socket:
    """The connection of a part of `size` bytes, of which only `data` were sent; with `awaits_turn`, when the door had
    begun to read it: otherwise a later request may have its turn first."""
    connection = serve.connect()
    lines = [
        f"PATCH {path} HTTP/1.1", "Host: localhost", "Content-Type: application/partial-upload",
        f"Upload-Offset: {offset}", f"Upload-Complete: ?{int(last)}", f"Content-Length: {size}", "Connection: close",
        *(["Expect: 100-continue"] if awaits_turn else []),
    ]  # fmt: skip
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    if awaits_turn:
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
    connection.sendall(data)
    return connection
