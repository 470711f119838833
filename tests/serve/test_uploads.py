"""Uploads to the end: through a worker as they come, or through a file; what the tenant learns, and what is kept."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from douane.catalog import Catalog
from douane.imports.worker_side import LINE_SECONDS
from support.judged import OCTETS, settled, upload_in_background, write_config
from support.serve import Serve, serving
from support.waiting import until

GOOD = bytes(range(256)) * 8192
BAD = b"bad" + bytes(1 << 20)
WORKER = "douane.imports.worker"
DOOR = "douane.api.process.door"


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    folder = tmp_path_factory.mktemp("uploads")
    with serving(folder / "home", write_config(folder)) as started:
        yield started


class Gate:
    """Pieces of an image that come when the test says so."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self._open = threading.Event()
        self.first_sent = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        for number, piece in enumerate(self._pieces):
            if number:
                self.first_sent.set()
                self._open.wait()
            yield piece

    def open(self) -> None:
        self._open.set()


def put(serve: Serve, image_id: str, data: bytes, door: str = "file", **headers: str) -> int:
    response = serve.client.put(f"/v2/images/{image_id}/{door}", content=data, headers={**OCTETS, **headers})
    return response.status_code


def test_an_accepted_upload_is_active_when_it_is_answered_and_comes_back_as_it_was(serve: Serve) -> None:
    image_id = serve.create()
    response = serve.client.put(f"/v2/images/{image_id}/file", content=GOOD, headers=OCTETS)
    assert (response.status_code, response.content) == (204, b"")
    assert "content-type" not in response.headers
    image = serve.image(image_id)
    assert (image["status"], image["size"], image["stores"]) == ("active", len(GOOD), "a")
    assert image["checksum"] == hashlib.md5(GOOD).hexdigest()
    assert serve.client.get(f"/v2/images/{image_id}/file").content == GOOD
    (task,) = serve.tasks(image_id)
    assert task["status"] == "success"
    assert task["request_id"] == response.headers["x-openstack-request-id"]


def test_a_refused_upload_says_why_and_the_image_can_be_uploaded_again(serve: Serve) -> None:
    image_id = serve.create()
    response = serve.client.put(f"/v2/images/{image_id}/file", content=BAD, headers=OCTETS)
    assert response.status_code == 422
    assert "says that it is bad" in response.json()["error"]["message"]
    assert response.headers["x-douane-code"] == "bad"
    image = serve.image(image_id)
    assert (image["status"], image["douane_code"], image["os_glance_failed_import"]) == ("queued", "bad", "a")
    assert put(serve, image_id, GOOD) == 204
    assert not any(name.startswith("douane_") for name in serve.image(image_id))
    assert serve.image(image_id)["os_glance_failed_import"] == ""


def test_the_header_chooses_the_store(serve: Serve) -> None:
    image_id = serve.create()
    assert put(serve, image_id, GOOD, **{"X-Image-Meta-Store": "c"}) == 400
    assert put(serve, image_id, GOOD, **{"X-Image-Meta-Store": "b"}) == 204
    assert serve.image(image_id)["stores"] == "b"


def test_who_has_bytes_takes_no_others(serve: Serve) -> None:
    image_id = serve.create()
    assert put(serve, image_id, GOOD) == 204
    assert put(serve, image_id, GOOD) == 409
    assert put(serve, image_id, GOOD, "stage") == 409
    assert put(serve, "0" * 8 + "-0000-0000-0000-" + "0" * 12, GOOD) == 404


def test_an_image_without_formats_takes_no_bytes(serve: Serve) -> None:
    assert put(serve, serve.create(disk_format=None), GOOD) == 400


def test_an_empty_raw_image_is_active_with_the_size_0(serve: Serve) -> None:
    image_id = serve.create()
    assert put(serve, image_id, b"") == 204
    image = serve.image(image_id)
    assert (image["status"], image["size"]) == ("active", 0)
    assert serve.client.get(f"/v2/images/{image_id}/file").content == b""


def test_an_empty_chunked_body_is_an_empty_image_too(serve: Serve) -> None:
    image_id = serve.create()
    assert serve.client.put(f"/v2/images/{image_id}/file", content=iter([]), headers=OCTETS).status_code == 204
    assert serve.image(image_id)["size"] == 0


def test_an_empty_image_of_another_format_goes_through_the_plan(serve: Serve) -> None:
    image_id = serve.create(disk_format="qcow2")
    assert put(serve, image_id, b"") == 204
    assert serve.tasks(image_id)[0]["result"]["verdicts"]


def test_a_slow_upload_holds_no_worker(serve: Serve) -> None:
    gates = [Gate(GOOD, GOOD) for _ in range(3)]  # one more than workers
    images = [serve.create() for _ in gates]
    started = [upload_in_background(serve, image, gate) for image, gate in zip(images, gates, strict=True)]
    for image_id in images:
        until("the upload is kept in a file", lambda image_id=image_id: serve.image(image_id)["status"] == "importing")
    quick = serve.create()
    assert put(serve, quick, GOOD) == 204
    for gate in gates:
        gate.open()
    for thread, statuses in started:
        thread.join()
        assert statuses == [204]
    assert {serve.image(image_id)["size"] for image_id in images} == {2 * len(GOOD)}


def test_of_two_uploads_of_an_image_one_wins(serve: Serve) -> None:
    image_id = serve.create()
    gate = Gate(GOOD, GOOD)
    thread, statuses = upload_in_background(serve, image_id, gate)
    until("the first has begun", lambda: serve.image(image_id)["status"] == "importing")
    assert put(serve, image_id, GOOD) == 409
    gate.open()
    thread.join()
    assert statuses == [204]


@pytest.mark.parametrize(("action", "status"), [("cancel", 409), ("delete", 410)])
def test_an_upload_whose_image_is_cancelled_or_deleted(serve: Serve, action: str, status: int) -> None:
    image_id = serve.create()
    gate = Gate(GOOD, GOOD)
    thread, statuses = upload_in_background(serve, image_id, gate)
    until("the upload has begun", lambda: serve.image(image_id)["status"] == "importing")
    if action == "cancel":
        assert serve.client.post(f"/v2/images/{image_id}/actions/cancel_import").status_code == 204
        assert serve.image(image_id)["douane_code"] == "cancelled"
    else:
        assert serve.client.delete(f"/v2/images/{image_id}").status_code == 204
    gate.open()
    thread.join()
    assert statuses == [status]
    assert not (serve.home.parent / "store-a" / "images" / image_id).exists()


def test_a_refusal_in_the_first_bytes_ends_a_long_upload_early(serve: Serve) -> None:
    image_id = serve.create()
    sent = 0
    size = 512 << 20
    head = f"PUT /v2/images/{image_id}/file HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n"
    with serve.connect() as connection:
        connection.sendall(head.encode() + b"Content-Type: application/octet-stream\r\n\r\nbad")
        piece = bytes(1 << 20)
        try:
            while sent < size - 3:
                connection.sendall(piece[: size - 3 - sent])
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = connection.recv(1 << 16)
    assert b" 422 " in answer.partition(b"\r\n")[0]
    assert b"connection: close" in answer.lower()
    assert sent < 128 << 20
    assert settled(serve, image_id)["status"] == "queued"


def test_an_upload_whose_worker_is_killed_is_an_error_and_the_image_is_queued(tmp_path: Path) -> None:
    with serving(tmp_path / "home", write_config(tmp_path, seconds=0.2)) as serve:
        image_id = serve.create()
        with Catalog(serve.home / "catalog.sqlite3") as catalog:
            thread, statuses = upload_in_background(serve, image_id, GOOD * 8)
            until("a worker has it", lambda: any(task.attempts for task in catalog.tasks(image_id)))
        serve.kill(WORKER)
        thread.join()
        assert statuses == [500]
        assert settled(serve, image_id)["status"] == "queued"
        assert put(serve, image_id, GOOD) == 204


def test_an_upload_whose_door_is_killed_leaves_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "home", write_config(tmp_path)) as serve:
        image_id = serve.create()
        gate = Gate(GOOD, GOOD)
        threading.Thread(target=lambda: _ignore(serve, image_id, gate), daemon=True).start()
        until("the upload is kept in a file", lambda: serve.image(image_id)["status"] == "importing")
        serve.kill(DOOR)
        gate.open()
        until("the image is queued again", lambda: _status(serve, image_id) == "queued")
        assert put(serve, image_id, GOOD) == 204


def test_an_upload_that_has_begun_is_finished_when_the_service_is_ended(tmp_path: Path) -> None:
    with serving(tmp_path / "home", write_config(tmp_path)) as serve:
        image_id = serve.create()
        gate = Gate(GOOD, GOOD)
        thread, statuses = upload_in_background(serve, image_id, gate)
        until("the upload is kept in a file", lambda: serve.image(image_id)["status"] == "importing")
        serve.process.send_signal(signal.SIGTERM)
        until("the door drains", lambda: _is_refused(serve))
        gate.open()
        thread.join()
        assert statuses == [204]
        assert serve.process.wait() == 0
    with serving(tmp_path / "home", tmp_path / "douane.toml") as again:
        assert again.image(image_id)["status"] == "active"


def _status(serve: Serve, image_id: str) -> str:
    """The status of the image; nothing while the door starts again."""
    try:
        return str(serve.image(image_id)["status"])
    except httpx.TransportError:
        return ""


def _ignore(serve: Serve, image_id: str, gate: Gate) -> None:
    try:
        put(serve, image_id, gate)  # type: ignore[arg-type]
    except httpx.TransportError:
        return


def _is_refused(serve: Serve) -> bool:
    try:
        serve.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_an_upload_waits_longer_for_the_catalog_than_its_worker_and_is_run_all_the_same(serve: Serve) -> None:
    image_id = serve.create()
    with contextlib.closing(sqlite3.connect(serve.home / "catalog.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # as many other uploads that begin
        thread, statuses = upload_in_background(serve, image_id, GOOD)
        time.sleep(LINE_SECONDS + 2)
        other.execute("ROLLBACK")
    thread.join()
    assert statuses == [204]
    assert serve.client.get(f"/v2/images/{image_id}/file").content == GOOD
