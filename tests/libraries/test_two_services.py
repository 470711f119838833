"""Two services with one catalog in PostgreSQL or MariaDB, and the same stores: what one begins, the other continues."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from support.catalog_servers import DatabaseServer, create, running
from support.judged import OCTETS, settled, upload_in_background, write_config
from support.open_uploads import append, begin_part, offset_of, opened
from support.processes import SECONDS
from support.serve import Serve, read_to_end, serving, status_of
from support.waiting import until

pytestmark = pytest.mark.libraries

IMAGE = bytes(range(256)) * 8192
LARGE = bytes(64 << 20)
Pair = tuple[Serve, Serve]


@pytest.fixture(scope="module")
def postgresql() -> Iterator[DatabaseServer]:
    with running("postgresql") as started:
        yield started


@pytest.fixture(scope="module")
def mariadb() -> Iterator[DatabaseServer]:
    with running("mariadb") as started:
        yield started


def start(stack: ExitStack, folder: Path, server: DatabaseServer, seconds: float = 0.0) -> Pair:
    url = create(server, f"douane-{folder.name}"[:64])
    config = write_config(folder, f'database = "{url}"', seconds=seconds)
    first, second = (stack.enter_context(serving(folder / home, config)) for home in ("first", "second"))
    return first, second


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def pair(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield start(stack, tmp_path_factory.mktemp("pair"), request.getfixturevalue(request.param))


def stage(serve: Serve, data: bytes = IMAGE) -> str:
    image_id = serve.create()
    assert serve.client.put(f"/v2/images/{image_id}/stage", content=data, headers=OCTETS).status_code == 204
    return image_id


def request_import(serve: Serve, image_id: str, **fields: object) -> int:
    body = {"method": {"name": "glance-direct"}, **fields}
    return serve.client.post(f"/v2/images/{image_id}/import", json=body).status_code


def staged(serve: Serve) -> list[Path]:
    folders = (serve.home.parent / store / "staging" for store in ("store-a", "store-b"))
    return [path for folder in folders if folder.exists() for path in folder.iterdir()]


@pytest.mark.parametrize("fields", [{}, {"all_stores": True}])
def test_bytes_that_are_staged_at_one_are_imported_at_the_other(pair: Pair, fields: dict[str, object]) -> None:
    first, second = pair
    image_id = stage(first)
    assert request_import(second, image_id, **fields) == 202
    assert settled(second, image_id)["status"] == "active"
    for serve in pair:
        assert serve.client.get(f"/v2/images/{image_id}/file").content == IMAGE


def test_bytes_that_are_staged_at_one_are_deleted_at_the_other(pair: Pair) -> None:
    first, second = pair
    image_id = stage(first)
    assert staged(first)
    assert second.client.delete(f"/v2/images/{image_id}").status_code == 204
    assert first.client.get(f"/v2/images/{image_id}").status_code == 404
    until("no bytes are left", lambda: not staged(first))


def test_an_image_of_one_is_copied_by_the_other(pair: Pair) -> None:
    first, second = pair
    image_id = first.create()
    assert first.client.put(f"/v2/images/{image_id}/file", content=IMAGE, headers=OCTETS).status_code == 204
    body = {"method": {"name": "copy-image"}, "stores": ["b"]}
    assert second.client.post(f"/v2/images/{image_id}/import", json=body).status_code == 202
    assert settled(second, image_id)["stores"] == "a,b"


def test_an_upload_at_one_is_cancelled_at_the_other(tmp_path: Path, postgresql: DatabaseServer) -> None:
    with ExitStack() as stack:
        first, second = start(stack, tmp_path, postgresql, seconds=0.5)
        image_id = first.create()
        thread, statuses = upload_in_background(first, image_id, LARGE)
        until("its bytes arrive", lambda: (second.tasks(image_id) or [{}])[0].get("progress", {}).get("bytes"))
        assert second.client.post(f"/v2/images/{image_id}/actions/cancel_import").status_code == 204
        thread.join()
        assert statuses == [409]
        assert first.image(image_id)["status"] == "queued"
        until("no bytes are left", lambda: not staged(first))


def test_what_a_service_was_doing_that_is_gone_for_good_is_finished_by_the_other(
    tmp_path: Path, postgresql: DatabaseServer
) -> None:
    with ExitStack() as stack:
        first, second = start(stack, tmp_path, postgresql, seconds=0.2)
        waiting, cut = stage(first), first.create()
        until("the bytes are staged", lambda: first.image(waiting)["status"] == "uploading")
        stack.enter_context(begin_upload(first, cut))
        until("its bytes arrive", lambda: (second.tasks(cut) or [{}])[0].get("progress", {}).get("bytes"))
        processes = [psutil.Process(first.process.pid), *first.processes()]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):  # a plugin ends with its worker
                process.kill()
        first.process.wait(SECONDS)
        assert request_import(second, waiting) == 202
        assert settled(second, waiting)["status"] == "active"
        assert settled(second, cut)["status"] == "queued"  # when the lease of the worker that is gone has ended
        assert second.client.put(f"/v2/images/{cut}/file", content=IMAGE, headers=OCTETS).status_code == 204
        until("no bytes are left", lambda: not staged(second))


def begin_upload(serve: Serve, image_id: str) -> socket.socket:
    """The connection of an upload whose end does not come."""
    connection = serve.connect()
    head = f"PUT /v2/images/{image_id}/file HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
    connection.sendall(f"{head}Content-Length: {len(LARGE)}\r\n\r\n".encode() + LARGE[: 16 << 20])
    return connection


@pytest.mark.parametrize("door", ["file", "stage"])
def test_an_upload_that_began_at_one_goes_on_at_the_other(pair: Pair, door: str) -> None:
    first, second = pair
    image_id = first.create()
    path = opened(first, image_id, door, length=len(IMAGE), first=IMAGE[:1000])
    assert append(second, path, IMAGE[1000:5000], 1000).headers["upload-offset"] == "5000"
    assert offset_of(first, path) == 5000
    assert append(first, path, IMAGE[5000:], 5000, last=True).headers["upload-complete"] == "?1"
    assert append(second, path, b"", len(IMAGE), last=True).headers["upload-complete"] == "?1"
    if door == "stage":
        assert request_import(second, image_id) == 202
    assert settled(second, image_id)["status"] == "active"
    assert second.client.get(f"/v2/images/{image_id}/file").content == IMAGE


def test_of_two_that_append_at_two_doors_the_later_wins_and_bytes_never_mix(pair: Pair) -> None:
    first, second = pair
    image_id = first.create()
    path = opened(first, image_id, length=len(IMAGE))
    with begin_part(first, path, 0, len(IMAGE), b"w" * 700_000) as earlier:
        until("bytes arrive", lambda: any(path.stat().st_size >= 512 << 10 for path in staged(first)))
        response = append(second, path, IMAGE, 0, last=True)  # it waits until the first has let the bytes go
        assert (response.status_code, response.headers["upload-complete"]) == (204, "?1")
        assert status_of(read_to_end(earlier)) == 409
    assert first.client.get(f"/v2/images/{image_id}/file").content == IMAGE


def test_an_upload_whose_service_is_gone_for_good_goes_on_at_the_other(
    tmp_path: Path, postgresql: DatabaseServer
) -> None:
    with ExitStack() as stack:
        first, second = start(stack, tmp_path, postgresql)
        image_id = first.create()
        path = opened(first, image_id, length=len(IMAGE), first=IMAGE[:1000])
        assert append(first, path, IMAGE[1000:9000], 1000).status_code == 204
        with begin_part(first, path, 9000, len(IMAGE), IMAGE[9000:]):
            until("it is received", lambda: second.tasks(image_id)[0]["progress"]["bytes"] == 9000)
            for process in [psutil.Process(first.process.pid), *first.processes()]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        first.process.wait(SECONDS)
        offset = offset_of(second, path)
        assert offset == 9000  # what was received after it is lost, and was never said to be kept
        assert append(second, path, IMAGE[offset:], offset, last=True).status_code == 204
        assert second.client.get(f"/v2/images/{image_id}/file").content == IMAGE
        until("no bytes are left", lambda: not staged(second))
