"""Several machines on one PostgreSQL: doors without workers, and workers without doors. Folders stand for machines."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from douane.catalog import Catalog
from support.glance.postgres import Postgres
from support.judged import OCTETS, settled
from support.machines import WorkerMachine, refusal, working, write_machine_config
from support.serve import Serve, serving
from support.waiting import until

pytestmark = pytest.mark.libraries

IMAGE = bytes(range(256)) * 8192


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with ExitStack() as stack:
        server = Postgres()
        stack.callback(server.stop)
        server.start()
        yield server


class Site:
    """Machines with a database; each sees the stores that it is given."""

    def __init__(self, folder: Path, postgres: Postgres, stack: ExitStack) -> None:
        self.folder = folder
        self.url = postgres.create(f"douane-{folder.name}").replace("psycopg2", "psycopg")
        self.catalog = stack.enter_context(Catalog(self.url))
        self._stack = stack

    def stores(self, *names: str, on: str = "nfs") -> dict[str, Path]:
        """Stores in the folder of a machine, or of the file server that all reach."""
        return {name: self.folder / on / name for name in names}

    def config(self, machine: str, stores: dict[str, Path], serve: str = "", seconds: float = 0.0) -> Path:
        return write_machine_config(self.folder / machine, self.url, stores, serve, seconds=seconds)

    def door(self, stores: dict[str, Path], **named: Any) -> Serve:
        """A machine that answers requests only."""
        config = self.config("door", stores, **named)
        return self._stack.enter_context(serving(self.folder / "door" / "home", config, "--workers", "0"))

    def worker(self, machine: str, stores: dict[str, Path], *options: str, **named: Any) -> WorkerMachine:
        """A machine of workers."""
        config = self.config(machine, stores, **named)
        return self._stack.enter_context(working(self.folder / machine, config, "--workers", "1", *options))

    def joined(self, *machines: str) -> None:
        """Wait until these have workers, and no others."""
        until("they have joined", lambda: {worker.host for worker in self.catalog.workers()} == set(machines))


@pytest.fixture
def site(tmp_path: Path, postgres: Postgres) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path, postgres, stack)


def uploaded(door: Serve, data: bytes = IMAGE, **headers: str) -> str:
    image_id = door.create()
    answer = door.client.put(f"/v2/images/{image_id}/file", content=data, headers={**OCTETS, **headers})
    assert answer.status_code == 204, answer.text
    return image_id


def staged(door: Serve, data: bytes = IMAGE) -> str:
    image_id = door.create()
    answer = door.client.put(f"/v2/images/{image_id}/stage", content=data, headers=OCTETS)
    assert answer.status_code == 204, answer.text
    return image_id


def import_(door: Serve, image_id: str, method: str = "glance-direct", **fields: object) -> None:
    answer = door.client.post(f"/v2/images/{image_id}/import", json={"method": {"name": method}, **fields})
    assert answer.status_code == 202, answer.text


def test_a_door_without_workers_has_its_images_imported_by_another_machine(site: Site) -> None:
    stores = site.stores("a", "b")
    door = site.door(stores)
    worker = site.worker("one", stores)
    assert "1 workers as one" in worker.greeting
    site.joined("one")
    for image_id in (uploaded(door), staged(door)):
        if door.image(image_id)["status"] == "uploading":
            import_(door, image_id, all_stores=True)
        assert settled(door, image_id)["status"] == "active"
        assert door.client.get(f"/v2/images/{image_id}/file").content == IMAGE
    refused = door.create()
    answer = door.client.put(f"/v2/images/{refused}/file", content=b"bad" + IMAGE, headers=OCTETS)
    assert (answer.status_code, answer.headers["X-Douane-Code"]) == (422, "bad")
    assert not list((site.folder / "one" / "home").glob("*.sqlite*"))
    assert worker.stop() == 0
    site.joined()


def test_an_import_goes_on_when_its_machine_is_gone_for_good(site: Site) -> None:
    stores = site.stores("a")
    door = site.door(stores)
    first = site.worker("one", stores, seconds=0.5)
    site.joined("one")
    image_id = begin_slow_upload(door)
    until("the first runs it", lambda: [worker.tasks for worker in site.catalog.workers() if worker.tasks])
    first.kill()
    site.worker("two", stores)
    assert settled(door, image_id)["status"] == "active"


def begin_slow_upload(door: Serve) -> str:
    """An upload that a worker takes a long time for."""
    image_id = door.create()
    threading.Thread(
        target=lambda: door.client.put(f"/v2/images/{image_id}/file", content=bytes(64 << 20), headers=OCTETS),
        daemon=True,
    ).start()
    return image_id


def test_a_machine_whose_plan_is_another_says_so_and_the_import_is_judged_again(site: Site) -> None:
    stores = site.stores("a")
    door = site.door(stores)
    worker = site.worker("one", stores, seconds=0.001)
    image_id = staged(door)
    import_(door, image_id)
    assert settled(door, image_id)["status"] == "active"
    log = worker.log.read_text()
    assert log.count("the plan of this worker") == 2, "the staged image is judged again before it is imported"
    config = site.config("one", stores)
    worker.process.send_signal(signal.SIGHUP)
    until("the plan is read again", lambda: "the configuration was read again" in worker.log.read_text())
    again = staged(door)
    import_(door, again)
    assert settled(door, again)["status"] == "active"
    assert worker.log.read_text().count("the plan of this worker") == 2
    assert config.exists()


def test_a_worker_that_is_stopped_finishes_what_it_runs(site: Site) -> None:
    stores = site.stores("a")
    door = site.door(stores)
    worker = site.worker("one", stores, seconds=0.05)
    image_id = begin_slow_upload(door)
    until("it runs", lambda: [running.tasks for running in site.catalog.workers() if running.tasks])
    assert worker.stop() == 0
    assert settled(door, image_id)["status"] == "active"
    (task,) = site.catalog.all_tasks(limit=None, requested_only=False)
    assert task.attempts == 1


def test_a_machine_of_workers_needs_a_database_that_others_reach(tmp_path: Path) -> None:
    config = tmp_path / "plan.toml"
    config.write_text("[[plugin]]\nname = 'format'\nuse = 'format'\n")
    code, message = refusal("worker", "--home", str(tmp_path / "home"), "--config", str(config))
    assert code == 2
    assert "write [serve] database" in message
    code, message = refusal("serve", "--home", str(tmp_path / "home"), "--config", str(config), "--workers", "0")
    assert code == 2
    assert "a service without workers needs workers of other machines" in message
    assert not os.path.exists(tmp_path / "home" / "catalog.sqlite3")


def test_a_machine_of_workers_has_its_home_alone(site: Site) -> None:
    stores = site.stores("a")
    site.worker("one", stores)
    config = site.folder / "one" / "douane.toml"
    code, message = refusal("worker", "--home", str(site.folder / "one" / "home"), "--config", str(config))
    assert code == 2
    assert "another douane serve or worker" in message
