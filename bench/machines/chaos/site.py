"""The site that the faults strike: doors, machines of workers, database and stores, each on a host of its own."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from bench.driving import WrongOutcome
from bench.harness import MiB
from bench.service.server import OCTETS, Answer
from douane.catalog import Catalog
from support.ceph import running_ceph
from support.machines import WorkerMachine
from support.network import Host, hosts
from support.replicated_postgres import ReplicatedPostgres
from support.s3_server import S3Server, credentials_file, gateway_of, moto_server
from support.serve import Serve
from support.stepped_clock import SteppedClock
from support.workers import PLUGIN

DOORS = ("door-1", "door-2")
MACHINES = ("machine-1", "machine-2", "machine-3")
WORKERS = 2
"""On each machine."""
FOLDER_BYTES = 512 * MiB
"""Of the shared folder, a file system in memory that a fault fills."""
SECONDS_OF_A_CHUNK = 0.05
"""The plugin waits so long for each chunk of a MiB: an import takes long enough to be struck."""
STARTS = 60
DATABASE = "chaos"


class Machine:
    """A host with workers."""

    def __init__(self, site: Site, name: str) -> None:
        self.name = name
        self.host = site.network[name]
        self.folder = site.folder / name
        self.folder.mkdir()
        self.clock = SteppedClock(site.folder, f"clock-of-{name}")
        self._config = site.config
        self.start()

    def start(self) -> None:
        """Start its workers: again and again while the database is away, as systemd does."""
        for _ in range(STARTS):
            with self.host.inside(), contextlib.suppress(AssertionError):
                self._running = WorkerMachine(
                    self.folder, self._config, "--workers", str(WORKERS), env=self.clock.environment
                )
                return
            time.sleep(1.0)
        raise WrongOutcome(f"{self.name} does not start: {(self.folder / 'worker.log').read_text()[-2000:]}")

    def workers(self) -> list[psutil.Process]:
        """Its processes that run imports."""
        return self._running.workers()

    def processes(self) -> list[psutil.Process]:
        """All its processes, the first of them first."""
        first = psutil.Process(self._running.process.pid)
        return [first, *first.children(recursive=True)]

    def kill(self) -> None:
        """It loses its power."""
        self._running.kill()

    def close(self) -> None:
        """End it, whatever state it is in."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in self.processes():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()
        try:
            self._running.stop()
        except (AssertionError, subprocess.TimeoutExpired):
            self._running.kill()

    @property
    def has_ended(self) -> bool:
        """True if its first process ended."""
        return self._running.process.poll() is not None

    def log(self) -> str:
        """The end of its log."""
        return self._running.log.read_text(errors="replace")[-4000:]


class Site:
    """Everything, running. As a service of :class:`bench.service.kill_clients.Client`: a request goes to any door."""

    def __init__(self, folder: Path, stack: ExitStack, *, default: str, with_ceph: bool, chance: random.Random) -> None:
        """`default`: the default store, "folder" or "objects"."""
        self.folder = folder
        self._chance = chance
        self.network = stack.enter_context(hosts("database-1", "database-2", "objects", *DOORS, *MACHINES))
        self.database_clock = SteppedClock(folder, "clock-of-database")
        self.database = ReplicatedPostgres(
            self.network["database-1"], self.network["database-2"], self.database_clock.environment
        )
        stack.callback(self.database.close)
        self.database.start()
        self.objects_host = self.network["objects"]
        with self.objects_host.inside():
            self.objects = _start_objects(stack, self.objects_host, with_ceph=with_ceph)
            self.bucket = self.objects.new_bucket()
        self.shared = stack.enter_context(_shared_folder(folder / "shared"))
        self.stores = sorted(("folder", "objects"), key=lambda name: name != default)
        """The default first."""
        self.config = self._write_config()
        Catalog(self.database.socket_url(DATABASE)).close()
        self.doors = [self._start_door(stack, name) for name in DOORS]
        self.machines: list[Machine] = []
        for name in MACHINES:
            self.machines.append(machine := Machine(self, name))
            stack.callback(machine.close)
        self.free_machines = list(self.machines)
        self.struck_machines = threading.BoundedSemaphore(len(self.machines) - 1)

    def _write_config(self) -> Path:
        (self.folder / "judge.py").write_text(PLUGIN)
        credentials = credentials_file(self.folder, self.objects.account)
        stores = {
            "folder": f'url = "file:{self.shared}"\n',
            "objects": (
                f'url = "s3://{self.bucket}/douane"\nendpoint = "{self.objects.url}"\n'
                f'region = "{self.objects.region}"\ncredentials_file = "{credentials}"\n'
            ),
        }
        tables = "".join(
            f"[serve.stores.{name}]\n{stores[name]}default = {str(not number).lower()}\n"
            for number, name in enumerate(self.stores)
        )
        config = self.folder / "douane.toml"
        config.write_text(
            f'[import]\ndigests = ["sha256"]\n[[plugin]]\nname = "judge"\nuse = "{self.folder}/judge.py:Judge"\n'
            f"config = {{ seconds = {SECONDS_OF_A_CHUNK} }}\n"
            f'[serve]\ndatabase = "{self.database.create(DATABASE)}"\ngrace = "10s"\n{tables}'
        )
        return config

    def _start_door(self, stack: ExitStack, name: str) -> Door:
        host = self.network[name]
        with host.inside():
            serve = Serve(self.folder / name, self.config, "--workers", "0")
        stack.callback(_end_door, serve)
        return Door(host, serve)

    @contextmanager
    def catalog(self) -> Iterator[Catalog]:
        """The catalog in the node that is the primary now."""
        with Catalog(self.database.socket_url(DATABASE)) as catalog:
            yield catalog

    # the service of the clients

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request to any door, on a new connection."""
        return self._chance.choice(self.doors).request(method, path, body, headers or {})

    def upload(self, image: str, door: str, data: Path) -> Answer:
        """PUT `door` (``file`` or ``stage``); ``file`` to any store."""
        headers = dict(OCTETS)
        if door == "file":
            headers["X-Image-Meta-Store"] = self._chance.choice(self.stores)
        return self.request("PUT", f"/v2/images/{image}/{door}", data.read_bytes(), headers)

    @property
    def has_ended(self) -> bool:
        """True if a door ended by itself, and not one of its processes."""
        return any(door.serve.process.poll() is not None for door in self.doors)

    def log(self) -> str:
        """The end of the logs."""
        logs = [door.serve.log.read_text(errors="replace")[-3000:] for door in self.doors]
        return "\n".join([*logs, *(machine.log() for machine in self.machines)])

    def check_alive(self) -> None:
        """Raises WrongOutcome if a part ended by itself."""
        ended = [machine.name for machine in self.machines if machine.has_ended]
        if self.has_ended or ended:
            raise WrongOutcome(f"a door or {ended} ended by itself:\n{self.log()}")


class Door:
    """A `douane serve` without workers, and requests to it: from its own host, as those of a proxy there."""

    def __init__(self, host: Host, serve: Serve) -> None:
        self.host = host
        self.serve = serve

    def request(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        """Send a request on a new connection."""
        with self.host.inside():
            connection = http.client.HTTPConnection(*self.serve.address, timeout=300)
            connection.connect()
        with contextlib.closing(connection):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may answer before the end
                connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.read(), response.headers["Retry-After"])


def _end_door(serve: Serve) -> None:
    if serve.process.poll() is None:
        serve.stop()


def _start_objects(stack: ExitStack, host: Host, *, with_ceph: bool) -> S3Server:
    if with_ceph:
        return gateway_of(stack.enter_context(running_ceph()), host.address)
    return stack.enter_context(moto_server(host.address))


@contextmanager
def _shared_folder(path: Path) -> Iterator[Path]:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={FOLDER_BYTES},mode=755", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
        os.rmdir(path)
