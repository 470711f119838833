"""Downloads from the real server, and clients that stop reading."""

from __future__ import annotations

import contextlib

import psutil
import pytest

from support.serve import Serve, read_to_end, status_of
from support.waiting import until

OCTETS = {"Content-Type": "application/octet-stream"}
DOOR = "douane.api.process.door"


@pytest.fixture(scope="module")
def image_id(serve: Serve) -> str:
    """An image that no buffer on the way can hold."""
    created = serve.create()
    pieces = (bytes([number]) * (1 << 20) for number in range(48))
    assert serve.client.put(f"/v2/images/{created}/file", content=pieces, headers=OCTETS).status_code == 204
    return created


def is_open(serve: Serve, image_id: str) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(image_id in file.path for file in serve.process_of(DOOR).open_files())
    return True


def request(image_id: str, *headers: str) -> bytes:
    lines = [f"GET /v2/images/{image_id}/file HTTP/1.1", "Host: localhost", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_a_download_is_whole(serve: Serve, image_id: str) -> None:
    received = serve.client.get(f"/v2/images/{image_id}/file")
    assert received.headers["content-length"] == str(48 << 20)
    assert received.content == b"".join(bytes([number]) * (1 << 20) for number in range(48))
    until("the file is closed", lambda: not is_open(serve, image_id))


def test_a_range_across_pieces(serve: Serve, image_id: str) -> None:
    first = (1 << 20) - 1
    received = serve.client.get(f"/v2/images/{image_id}/file", headers={"Range": f"bytes={first}-{first + 1}"})
    assert (received.status_code, received.content) == (206, b"\x00\x01")


@pytest.mark.parametrize("value", ["bytes=99999999999-", "bytes=5-3", "bytes=--1", "items=0-1", "bytes=0-1,2-3"])
def test_a_range_that_cannot_be_served(serve: Serve, image_id: str, value: str) -> None:
    assert serve.client.get(f"/v2/images/{image_id}/file", headers={"Range": value}).status_code in (400, 416)


def test_a_client_that_goes_away_leaves_no_open_file(serve: Serve, image_id: str) -> None:
    with serve.connect() as connection:
        connection.sendall(request(image_id))
        assert status_of(connection.recv(1 << 16)) == 200
    until("the file is closed", lambda: not is_open(serve, image_id))


def test_a_client_that_stops_reading_is_dropped_and_the_download_is_not_taken_for_a_whole_one(
    serve: Serve, image_id: str
) -> None:
    with serve.connect() as connection:
        connection.sendall(request(image_id))
        until("the file is open", lambda: is_open(serve, image_id))
        until("the file is closed", lambda: not is_open(serve, image_id))
        received = read_to_end(connection)
    assert status_of(received) == 200
    assert len(received) < 48 << 20
    assert "Traceback" not in serve.log.read_text()


def test_clients_that_read_nothing_cost_little_memory(serve: Serve, image_id: str) -> None:
    door = serve.process_of(DOOR)
    before = most = door.memory_info().rss
    with contextlib.ExitStack() as clients:
        for _ in range(24):
            clients.enter_context(serve.connect()).sendall(request(image_id))
        until("a file is open", lambda: is_open(serve, image_id))
        while is_open(serve, image_id):
            most = max(most, door.memory_info().rss)
    assert most - before < 24 * (4 << 20)
