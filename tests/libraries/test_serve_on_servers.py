"""`douane serve` with its catalog in PostgreSQL and in MariaDB: imports succeed, also after the server ended all
connections, or was killed and started again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from douane.catalog import Catalog
from support.catalog_servers import DatabaseServer, create, end_connections, running
from support.serve import Serve, serving
from support.waiting import until

pytestmark = pytest.mark.libraries

DOOR = "douane.api.process.door"
WORKER = "douane.imports.worker"
CONFIG = """
[serve]
database = "{url}"
workers = 1

[[plugin]]
name = "limits"
use = "limits"
"""


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    with running(request.param) as started:
        yield started


@pytest.fixture
def url(server: DatabaseServer) -> str:
    return create(server, "douane")


def imported(service: Serve, content: bytes) -> str:
    """The id of a new image that was staged and imported."""
    image_id = service.create()
    octets = {"Content-Type": "application/octet-stream"}
    staged = service.client.put(f"/v2/images/{image_id}/stage", content=content, headers=octets)
    assert staged.status_code == 204, staged.text
    method = {"method": {"name": "glance-direct"}}
    requested = service.client.post(f"/v2/images/{image_id}/import", json=method)
    assert requested.status_code == 202, requested.text
    until("the image is active", lambda: service.image(image_id)["status"] == "active")
    assert service.client.get(f"/v2/images/{image_id}/file").content == content
    return image_id


def test_images_are_imported_also_after_all_connections_ended(tmp_path: Path, url: str) -> None:
    config = tmp_path / "douane.toml"
    config.write_text(CONFIG.format(url=url))
    with serving(tmp_path / "home", config) as service:
        first = imported(service, os.urandom(300_000))
        assert end_connections(url) > 0
        second = imported(service, os.urandom(300_000))
    with Catalog(url) as catalog:
        assert {image.id for image in catalog.images(status="active")} == {first, second}
    assert not list((tmp_path / "home").glob("*.sqlite*"))


def answer_of(service: Serve) -> httpx.Response | None:
    """The answer to a small call; None if the door is just being started."""
    try:
        return service.client.get("/v2/images")
    except httpx.TransportError:
        return None


def is_unavailable(service: Serve) -> bool:
    answer = answer_of(service)
    return answer is not None and answer.status_code == 503 and "Retry-After" in answer.headers


def test_door_and_workers_that_start_while_the_database_is_away_wait_for_it(
    tmp_path: Path, server: DatabaseServer, url: str
) -> None:
    config = tmp_path / "douane.toml"
    config.write_text(CONFIG.format(url=url))
    with serving(tmp_path / "home", config) as service:
        first = imported(service, os.urandom(300_000))
        server.crash()
        until("the door says when to come again", lambda: is_unavailable(service))
        for module in (DOOR, WORKER):
            killed = service.process_of(module).pid
            service.kill(module)
            until("it is started again", lambda killed=killed, module=module: service.process_of(module).pid != killed)
        worker = service.process_of(WORKER).pid
        until("the new door says when to come again", lambda: is_unavailable(service))
        until("the new worker has looked for work", lambda: "cannot use the catalog" in log_since(service, worker))
        assert service.process_of(WORKER).pid == worker, (
            "a worker that ends is started again until the service gives up"
        )
        server.start_again()
        until("the door answers", lambda: (answer := answer_of(service)) is not None and answer.status_code == 200)
        assert service.image(first)["status"] == "active"
        imported(service, os.urandom(300_000))


def log_since(service: Serve, pid: int) -> str:
    """The log since the start of this process."""
    return service.log.read_text().partition(f"started as process {pid}")[2]


def test_an_upload_waits_for_its_verdict_while_the_database_is_away(
    tmp_path: Path, server: DatabaseServer, url: str
) -> None:
    config = tmp_path / "douane.toml"
    config.write_text(CONFIG.format(url=url))
    content = os.urandom(300_000)
    with serving(tmp_path / "home", config) as service, ThreadPoolExecutor() as pool:
        image_id = service.create()
        worker = service.process_of(WORKER)
        worker.suspend()  # nobody takes the upload, so it is kept in a file
        path, octets = f"/v2/images/{image_id}/file", {"Content-Type": "application/octet-stream"}
        upload = pool.submit(service.client.put, path, content=content, headers=octets)
        until("the upload is kept", lambda: "is kept in a file" in service.log.read_text() and service.staged())
        until("it waits for a worker", lambda: waiting(url) == 1)
        server.crash()
        until("the door has asked for the verdict", lambda: "cannot be read now" in service.log.read_text())
        server.start_again()
        worker.resume()
        assert upload.result().status_code == 204
        assert service.client.get(path).content == content


def waiting(url: str) -> int:
    """The number of tasks that wait for a worker."""
    with Catalog(url) as catalog:
        return catalog.waiting_count()
