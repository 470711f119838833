"""An S3 server that answers nonsense, or for ever: a StoreError, no wrong bytes, no wait without an end."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from douane.errors import StoreError
from douane.stores.s3.store import S3Store
from douane.stores.s3.uploads import Uploads
from support.s3_memory import Query, S3Memory, listing, send
from support.store import content_of, new_id
from support.web_server import Request, Script, WebServer

ID, OTHER = "11111111-2222-4333-8444-555555555555", "11111111-2222-4333-8444-666666666666"
RECORD = {"key": OTHER, "origin": OTHER, "size": 8, "segments": [["0000-0123abcd", 0, 8]], "finished": True}


class Serve(Protocol):
    def __call__(self, script: Script, timeout: float = 60.0) -> S3Store: ...


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = access\naws_secret_access_key = secret\n")
    with contextlib.ExitStack() as stack:

        def start(script: Script, timeout: float = 60.0) -> S3Store:
            server = WebServer(script)
            stack.callback(server.stop)
            endpoint = f"http://127.0.0.1:{server.port}"
            return S3Store(
                "//bucket/p", endpoint=endpoint, credentials_file=str(credentials), retries=0, timeout=timeout
            )

        yield start


def pointer(content: bytes) -> Script:
    """Every object is `content`; a segment is eight letters."""

    def script(request: Request, connection: socket.socket) -> None:
        if "/data/" in request.target:
            send(connection, 206, b"segments", Content_Range="bytes 0-7/8")
        else:
            send(connection, 200, content)

    return script


def test_the_record_of_an_image_is_read(serve: Serve) -> None:
    stored = serve(pointer(json.dumps(RECORD).encode())).open(ID)
    view = memoryview(bytearray(8))
    assert stored.read_into(view, 0) == 8
    assert bytes(view) == b"segments"


@pytest.mark.parametrize(
    "change",
    [
        {"size": 10**30},
        {"size": -1, "segments": []},
        {"finished": False},
        {"deleted": True},
        {"key": "no id"},
        {"origin": "../images"},
        {"image": "../images"},
        {"segments": [["../0000-0123abcd", 0, 8]]},
        {"segments": [["0000-0123abcd", -8, 8]]},
        {"segments": [["0000-0123abcd", 0, 9]]},
        {"size": 2_000_000, "segments": [["0000-0123abcd", number, 1] for number in range(50_000)]},
    ],
    ids="-".join,
)
def test_a_record_that_the_store_did_not_write_is_refused(serve: Serve, change: dict[str, object]) -> None:
    with pytest.raises(StoreError) as raised:
        serve(pointer(json.dumps({**RECORD, **change}).encode())).open(ID)
    assert raised.value.code == "damaged"


def test_staged_bytes_of_another_key_are_refused(serve: Serve) -> None:
    store = serve(pointer(json.dumps(RECORD).encode()))
    with pytest.raises(StoreError) as raised:
        store.open_staged(ID)
    assert raised.value.code == "damaged"


def test_a_list_that_never_ends_is_not_followed(serve: Serve) -> None:
    pages: list[str] = []

    def script(request: Request, connection: socket.socket) -> None:
        pages.append(request.target)
        send(connection, 200, listing([f"p/images/{ID}"], "same" if len(pages) < 200 else None))

    with pytest.raises(StoreError, match="list that has no order") as raised:
        list(serve(script).image_ids())
    assert raised.value.code == "store-unreadable"
    assert len(pages) < 200


@pytest.mark.parametrize("encoding", ["foo", "utf-7"])
@pytest.mark.parametrize("asked", ["lifecycle", "uploads"])
def test_an_answer_in_an_unknown_encoding_says_nothing(serve: Serve, asked: str, encoding: str) -> None:
    body = f'<?xml version="1.0" encoding="{encoding}"?><a/>'.encode()
    store = serve(lambda request, connection: send(connection, 200, body))
    uploads = Uploads("bucket", "p", store.options)
    assert store.advice() == [] if asked == "lifecycle" else uploads.abort("data/") is None


def test_uploads_with_any_name_are_aborted_by_it(serve: Serve) -> None:
    aborted: list[str] = []

    def script(request: Request, connection: socket.socket) -> None:
        if request.method == "DELETE":
            aborted.append(request.target)
        body = "<R><Upload><Key>p/data/é?x</Key><UploadId>1</UploadId></Upload></R>"
        send(connection, 200, body.encode())

    Uploads("bucket", "p", serve(script).options).abort("data/")
    assert aborted == ["/bucket/p/data/%C3%A9%3Fx?uploadId=1"]


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 X\r\nContent-Length: 1000000\r\n\r\n", b"HTTP/1.1 200 X\r\n"])
def test_an_answer_that_comes_drop_by_drop_is_not_waited_for(serve: Serve, head: bytes) -> None:
    gone = threading.Event()

    def script(request: Request, connection: socket.socket) -> None:
        try:
            connection.sendall(head)
            while not gone.wait(0.1):
                connection.sendall(b"a: b\r\n")
        except OSError:  # the store has hung up
            gone.set()

    store = serve(script, timeout=0.5)
    try:
        Uploads("bucket", "p", store.options).abort("data/")
        assert gone.wait(30), "the store hung up, and the server did not end its answer"
    finally:
        gone.set()


def test_bytes_that_another_key_needs_stay_when_the_server_answers_with_no_list(serve: Serve) -> None:
    memory = S3Memory()
    store, key, image = serve(memory), new_id(), new_id()
    staged = store.stage(key)
    staged.write(memoryview(b"image"), 0)
    staged.finish(5)
    staged.close()
    store.publish(store.link_staged(key, new_id()), image)

    def no_list(request: Request, query: Query) -> bytes | None:
        return b"<Error><Code>InternalError</Code></Error>" if "list-type" in query else None

    memory.bend = no_list
    with pytest.raises(StoreError, match="a list that lacks") as raised:
        store.discard(key)
    assert raised.value.code == "store-unreadable"
    memory.bend = None
    assert content_of(store.open(image)) == b"image"
    assert store.discard(key)
    assert content_of(store.open(image)) == b"image"
    store.delete(image)
    assert list(memory.objects) == ["/bucket/p/store-id"]


@pytest.mark.parametrize(
    "path",
    [
        "store-id",
        "site/store-id",
        f"staging/{ID}",
        f"images/{ID}",
        f"data/{ID}/0000-0123abcd",
        f"site/data/{ID}/0000-0123abcd",
        f"a/b/staging/{ID}",
        f"site/%64ata/{ID}/0000-0123abcd",
    ],
)
def test_what_a_store_wrote_is_no_location_also_if_its_prefix_is_longer(serve: Serve, path: str) -> None:
    memory = S3Memory()
    memory.objects[f"/bucket/p/{path.replace('%64', 'd')}"] = b"bytes of another tenant"
    with pytest.raises(StoreError) as raised:
        serve(memory).open_location(f"s3://bucket/p/{path}", images=False)
    assert raised.value.code == "in-use"


@pytest.mark.parametrize("path", ["nova/disk", f"nova/{ID}", "nova/images/disk", f"nova/data-{ID}"])
def test_what_another_service_wrote_is_a_location(serve: Serve, path: str) -> None:
    memory = S3Memory()
    memory.objects[f"/bucket/p/{path}"] = b"a snapshot"
    stored = serve(memory).open_location(f"s3://bucket/p/{path}", images=False)
    assert stored is not None
    assert content_of(stored) == b"a snapshot"
