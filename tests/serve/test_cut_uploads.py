"""Uploads that do not come to their end, in all forms, against the real server: nothing is kept, and nothing is stuck.

Granian's other interfaces tell an application nothing of a body that was cut off: it ends like a whole one.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest

from support.serve import Serve, read_to_end, status_of
from support.waiting import until

Cut = Callable[[socket.socket], None]
CONTENT = b"x" * 300_000


def fin(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def close(connection: socket.socket) -> None:
    connection.close()


def bad_chunk(connection: socket.socket) -> None:
    connection.sendall(b"nonsense\r\n")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def head(image_id: str, door: str, *headers: str) -> bytes:
    lines = [
        f"PUT /v2/images/{image_id}/{door} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/octet-stream",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def nothing_is_left(serve: Serve, image_id: str) -> None:
    until("the image is queued again", lambda: serve.image(image_id)["status"] == "queued")
    until("no bytes are staged", lambda: not serve.staged())
    assert serve.image(image_id)["size"] is None


@pytest.mark.parametrize("door", ["file", "stage"])
@pytest.mark.parametrize("cut", [fin, reset, close], ids=lambda cut: cut.__name__)
def test_a_body_with_a_length_that_is_cut_off(serve: Serve, door: str, cut: Cut) -> None:
    image_id = serve.create()
    with serve.connect() as connection:
        connection.sendall(head(image_id, door, f"Content-Length: {2 * len(CONTENT)}") + CONTENT)
        cut(connection)
        nothing_is_left(serve, image_id)


@pytest.mark.parametrize("door", ["file", "stage"])
@pytest.mark.parametrize("cut", [fin, reset, close, bad_chunk], ids=lambda cut: cut.__name__)
def test_a_chunked_body_that_is_cut_off(serve: Serve, door: str, cut: Cut) -> None:
    image_id = serve.create()
    with serve.connect() as connection:
        connection.sendall(head(image_id, door, "Transfer-Encoding: chunked") + chunk(CONTENT))
        cut(connection)
        nothing_is_left(serve, image_id)


@pytest.mark.parametrize("door", ["file", "stage"])
def test_an_upload_that_falls_silent_in_the_middle(serve: Serve, door: str) -> None:
    image_id = serve.create()
    with serve.connect() as connection:
        connection.sendall(head(image_id, door, "Transfer-Encoding: chunked") + chunk(CONTENT))
        assert status_of(read_to_end(connection)) == 408
    nothing_is_left(serve, image_id)


@pytest.mark.parametrize("door", ["file", "stage"])
@pytest.mark.parametrize("announced", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_chunked_body_of_another_size_than_announced(serve: Serve, door: str, announced: int) -> None:
    image_id = serve.create()
    with serve.connect() as connection:
        headers = ("Transfer-Encoding: chunked", f"X-OpenStack-Image-Size: {announced}", "Connection: close")
        connection.sendall(head(image_id, door, *headers) + chunk(CONTENT) + b"0\r\n\r\n")
        assert status_of(read_to_end(connection)) == 400
    nothing_is_left(serve, image_id)


@pytest.mark.parametrize("door", ["file", "stage"])
def test_an_image_that_is_larger_than_the_operator_allows(serve: Serve, door: str) -> None:
    image_id = serve.create()
    pieces = (b"x" * (1 << 20) for _ in range(80))
    headers = {"Content-Type": "application/octet-stream"}
    response = serve.client.put(f"/v2/images/{image_id}/{door}", content=pieces, headers=headers)
    assert response.status_code == 413
    nothing_is_left(serve, image_id)
    response = serve.client.put(
        f"/v2/images/{image_id}/{door}", content=b"x", headers={**headers, "X-OpenStack-Image-Size": str(65 << 20)}
    )
    assert response.status_code in (400, 413)
