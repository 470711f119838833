"""Several machines on one PostgreSQL: doors without workers, and workers without doors. Folders stand for machines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from douane.catalog import Catalog
from support.glance.postgres import Postgres
from support.judged import OCTETS, settled
from support.machines import WorkerMachine, refusal, working, write_machine_config
from support.processes import SECONDS
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
    assert "1 worker as one" in worker.greeting
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


def test_an_import_goes_to_the_machine_that_reaches_its_stores(site: Site) -> None:
    shared = site.stores("a")
    door = site.door({**shared, **site.stores("b", on="one")})
    # A folder of the same name on another machine: another store.
    two = site.worker("two", {**shared, **site.stores("b", on="two")})
    site.joined("two")
    assert "is not the one" not in two.log.read_text()
    image_id = staged(door)
    import_(door, image_id, stores=["b"])
    until("nobody can run it", lambda: stranded(site) == 1)
    assert door.image(image_id)["status"] == "importing"
    later = site.worker("one", {**shared, **site.stores("b", on="one")})
    document = settled(door, image_id)
    assert (document["status"], document["stores"]) == ("active", "b")
    (task,) = [task for task in site.catalog.tasks(image_id) if task.outcome == "accepted"]
    assert task.attempts == 2, "once to inspect it, and once to copy it"
    assert door.client.get(f"/v2/images/{image_id}/file").content == IMAGE
    assert not (site.folder / "two" / "b").exists()
    assert later.process.poll() is None


def test_a_service_does_not_start_with_another_default_store(site: Site) -> None:
    with serving(site.folder / "first-home", site.config("first", site.stores("a"))):
        pass
    (site.folder / "other" / "a" / "images").mkdir(parents=True)
    config = site.config("second", site.stores("a", on="other"))
    words = ("--home", str(site.folder / "second-home"), "--listen", "127.0.0.1:0", "--config", str(config))
    code, message = refusal("serve", *words)
    assert code == 2
    assert "is not the one that the catalog means" in message
    assert "`douane stores forget a`" in message
    assert "another" in run_cli(site, "stores", config=config)
    run_cli(site, "stores", "forget", "a", config=config)
    with serving(site.folder / "second-home", config) as door:
        uploaded(door)
    assert "reached" in run_cli(site, "stores", config=config)


def run_cli(site: Site, *words: str, config: Path | None = None) -> str:
    """What a command prints, for the catalog of the site."""
    chosen = config or site.folder / "door" / "douane.toml"
    ended = subprocess.run(
        [sys.executable, "-m", "douane", *words, "--config", str(chosen), "--home", str(site.folder / "cli")],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def stranded(site: Site) -> int:
    groups = json.loads(run_cli(site, "workers", "--json"))["stranded"]
    return sum(group["count"] for group in groups)


def test_a_cordoned_machine_finishes_and_begins_nothing(site: Site) -> None:
    stores = site.stores("a")
    door = site.door(stores)
    site.worker("one", stores, seconds=0.05)
    image_id = begin_slow_upload(door)
    until("it runs", lambda: [running.tasks for running in site.catalog.workers() if running.tasks])
    drain = subprocess.Popen(
        [sys.executable, "-m", "douane", "workers", "drain", "one", "--config", str(site.folder / "door/douane.toml")]
    )
    until("it is cordoned", lambda: site.catalog.cordoned_places() == ["one"])
    waiting = begin_slow_upload(door)
    assert drain.wait(SECONDS) == 0
    assert door.image(image_id)["status"] == "active"
    (worker,) = json.loads(run_cli(site, "workers", "--json"))["workers"]
    assert (worker["host"], worker["state"], worker["tasks"]) == ("one", "drained", [])
    until("the other upload waits", lambda: site.catalog.waiting_count() == 1)
    assert "drained" in run_cli(site, "workers")
    run_cli(site, "workers", "uncordon", "one")
    assert settled(door, waiting)["status"] == "active"


def test_two_machines_are_upgraded_one_after_the_other_without_a_lost_import(site: Site) -> None:
    stores = site.stores("a", "b")
    door = site.door(stores)
    machines = {name: site.worker(name, stores, seconds=0.005) for name in ("one", "two")}
    site.joined("one", "two")
    ended, results, image_ids = threading.Event(), [], []

    def upload_and_import() -> None:
        while not ended.is_set():
            image_id = staged(door)
            image_ids.append(image_id)
            import_(door, image_id, all_stores=True)
            results.append(settled(door, image_id)["status"])

    with ThreadPoolExecutor(4) as pool:
        streams = [pool.submit(upload_and_import) for _ in range(4)]
        for name, machine in machines.items():
            count = len(results)
            until("imports go on", lambda count=count: len(results) > count + 4)
            run_cli(site, "workers", "drain", name)
            assert machine.stop() == 0
            run_cli(site, "workers", "uncordon", name)
            site.worker(name, stores, seconds=0.005)
            site.joined("one", "two")
        ended.set()
        for stream in streams:
            stream.result()
    assert set(results) == {"active"}
    assert len(results) == len(image_ids)
    for image_id in image_ids:
        assert [(task.outcome, task.attempts) for task in site.catalog.tasks(image_id)] == [("accepted", 2)], (
            "none again"
        )
        assert door.client.get(f"/v2/images/{image_id}/file").content == IMAGE
    until("no bytes are left", lambda: not [path for each in stores.values() for path in (each / "staging").iterdir()])


def test_an_import_stays_with_its_machine_when_the_database_was_away(site: Site) -> None:
    stores = site.stores("a")
    door = site.door(stores)
    site.worker("one", stores, seconds=0.1)
    image_id = begin_slow_upload(door)
    until("it runs", lambda: [running.tasks for running in site.catalog.workers() if running.tasks])
    site.worker("two", stores)
    site.joined("one", "two")
    with site.catalog._database.write() as connection:  # as after 100 seconds in which nobody reached it
        for table, column in (("tasks", "lease_until"), ("workers", "seen_at"), ("marks", "value")):
            earlier = f"to_char({column}::timestamp - interval '100 s', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
            chosen = "name = 'grace_until'" if table == "marks" else f"{column} > '2000'"
            connection.exec_driver_sql(f"UPDATE {table} SET {column} = {earlier} WHERE {chosen}")
    assert site.catalog.dead_tasks() == []
    assert settled(door, image_id)["status"] == "active"
    (task,) = site.catalog.all_tasks(limit=None, requested_only=False)
    assert (task.outcome, task.attempts) == ("accepted", 1), "nobody took it over"


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
