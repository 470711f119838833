"""Workers of the service as processes, and the door that sends them uploads."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from douane.catalog import Catalog, Image, ImportRequest, Task
from douane.engine.served_plan import ServedPlan
from douane.imports.inline import Done, reach_worker
from douane.imports.service_stores import Stores, open_stores
from douane.imports.settings import load_settings
from douane.imports.worker_spec import WorkerSpec

from .store import read_all
from .waiting import until

Result = TypeVar("Result")

PLUGIN = """
import time
from douane_plugin import Inspector, Reject, Transform

class Judge(Inspector):
    def __init__(self, seconds: float = 0.0):
        self.seconds = seconds

    def inspect(self, image):
        size = 0
        for chunk in image:
            if size == 0 and bytes(chunk[:3]) == b"bad":
                raise Reject("bad", "the image says that it is bad")
            size += len(chunk)
            time.sleep(self.seconds)
        self.log.info("read %d bytes", size)
        return {"bytes": size}

class Twice(Transform):
    def transform(self, image):
        kept = []
        for chunk in image:
            kept.append(bytes(chunk))
            if kept[0][:4] == b"once":
                raise Reject("once", "it must not be there twice")
            if kept[0][:5] == b"crash":
                raise RuntimeError("broken")
            while kept[0][:4] == b"slow":
                time.sleep(0.1)
            yield chunk
        yield from kept
"""


class Site:
    """A home with a catalog, stores and a plan, and the workers that were started for it. Close it."""

    def __init__(
        self,
        place: Path,
        *,
        stores: Sequence[str] = ("a",),
        serve: str = "",
        seconds: float = 0.0,
        twice: Sequence[str] = (),
    ) -> None:
        """`twice`: the stores that get the image twice, one after the other, by a transform."""
        self.place = place
        self.home = place / "home"
        (self.home / "run").mkdir(parents=True)
        (place / "judge.py").write_text(PLUGIN)
        self.config = place / "douane.toml"
        self._stores, self._serve, self._twice = stores, serve, twice
        self.write_config(seconds)
        self.catalog = Catalog(self.home / "catalog.sqlite3")
        self.stores: Stores = open_stores(load_settings(str(self.config), self.home))
        self.served = ServedPlan.load(str(self.config), None, digests=True)
        self._doors = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.doors = self.home / "run" / "workers.sock"
        self._doors.bind(os.fspath(self.doors))
        self._doors.listen(8)
        self._wake = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.processes: list[subprocess.Popen[bytes]] = []

    def write_config(self, seconds: float = 0.0, **config: object) -> None:
        """The plan and the table [serve]; the plugin takes `seconds` for each chunk."""
        tables = "".join(
            f'[serve.stores.{name}]\nurl = "file:{self.place / f"store-{name}"}"\ndefault = {str(not number).lower()}\n'
            for number, name in enumerate(self._stores)
        )
        self.config.write_text(
            f'[import]\ndigests = ["sha256"]\n[[plugin]]\nname = "judge"\nuse = "{self.place}/judge.py:Judge"\n'
            f"config = {{ seconds = {seconds} }}\n{self._transform()}[serve]\n{self._serve}\n{tables}"
        )

    def _transform(self) -> str:
        if not self._twice:
            return ""
        return f'[[plugin]]\nname = "twice"\nuse = "{self.place}/judge.py:Twice"\nstores = {list(self._twice)}\n'

    def start(
        self,
        name: str,
        *,
        program: Sequence[str] = ("-m", "douane.imports.worker"),
        life_fd: int | None = None,
    ) -> subprocess.Popen[bytes]:
        """A worker process."""
        spec = WorkerSpec(
            name=name,
            home=str(self.home),
            config=str(self.config),
            listen_fd=self._doors.fileno(),
            wake_fd=self._wake.fileno(),
            life_fd=life_fd,
        )
        process = subprocess.Popen(
            [sys.executable, *program, msgspec.json.encode(spec).decode()],
            pass_fds=(spec.listen_fd, spec.wake_fd, *(() if life_fd is None else (life_fd,))),
            process_group=0,
        )
        self.processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes], name: str) -> None:
        """Kill the worker called `name`, and end its leases, as the supervisor does."""
        process.kill()
        process.wait()
        self.catalog.release_worker(name)

    def new_image(self) -> Image:
        """A queued image."""
        return self.catalog.create_image(name="an image", disk_format="raw", container_format="bare")

    def begin(self, image: Image, method: Any = "glance-direct", stores: Sequence[str] = ("a",), **req: object) -> Task:
        """Begin an upload, as a door does."""
        return self.catalog.begin_upload(
            image.id,
            method=method,
            plan=msgspec.to_builtins(self.served.plan),
            plan_digest=self.served.facts.digest,
            worker="door",
            request=ImportRequest(stores=tuple(stores), import_req=req or None),
        )

    def request_import(
        self,
        image: Image,
        stores: Sequence[str] = ("a",),
        digest: str = "",
        transformed: Sequence[str] = (),
        **req: object,
    ) -> Task:
        """Request the import of staged bytes, as a door does."""
        return self.catalog.request_import(
            image.id,
            request=ImportRequest(stores=tuple(stores), import_req=req or None),
            plan=msgspec.to_builtins(self.served.plan),
            plan_digest=digest or self.served.facts.digest,
            worker="door",
            transformed=transformed,
        )

    def queue(self, task: Task, data: bytes, store: str = "a") -> Task:
        """Keep the upload in a file, and let the task wait for a worker."""
        assert task.staged_key is not None
        staged = self.stores.by_id(store).store.stage(task.staged_key)
        os.pwrite(staged.fd, data, 0)
        staged.finish(len(data))
        staged.close()
        return self.catalog.release(task, source={"spool": task.staged_key, "store": store})

    def copy(self, image_id: str, stores: tuple[str, ...], **request: object) -> str:
        """Queue a copy to further stores; the id of its task."""
        req = ImportRequest(stores=stores, import_req=dict(request) or None)
        return self.catalog.begin_queued(image_id, method="copy-image", plan=None, request=req).id

    def bytes_in(self, store: str, image: Image) -> bytes:
        """The image in a store."""
        return read_all(self.stores.by_id(store).store, image.id)

    def staged(self) -> list[str]:
        """The keys of all staged bytes."""
        return [key for each in self.stores for key in each.store.staged_keys()]

    def nothing_staged(self) -> None:
        """Wait until no staged bytes are left."""
        until("the staged bytes are gone", lambda: not self.staged())

    def status(self, image: Image) -> str:
        """The state of the image."""
        return self.catalog.image(image.id).status

    def until_status(self, image: Image, status: str) -> Image:
        """Wait for the state."""
        until(f"the image is {status}", lambda: self.status(image) == status)
        return self.catalog.image(image.id)

    def close(self) -> None:
        """End all workers."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        self._doors.close()
        self._wake.close()
        self.catalog.close()


MakeSite = Callable[..., Site]


class Upload:
    """An upload to a worker, step by step."""

    def __init__(self, site: Site, task: Task) -> None:
        self._loop = asyncio.new_event_loop()
        read_end, self._pipe = os.pipe()
        try:
            self.connection = until("a worker is free", lambda: self._do(reach_worker(site.doors, 1.0)))
            self.worker = self.connection.worker
            self._do(self.connection.run(task.id, task.token, read_end))
        finally:
            os.close(read_end)

    def send(self, data: bytes) -> None:
        """Write into the pipe."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._pipe, view) :]
        except BrokenPipeError:
            return

    def reply(self) -> object:
        """The worker's next reply."""
        return self._do(self.connection.reply())

    def end(self) -> Done:
        """The image is complete: the worker's last reply."""
        self.end_without_reply()
        return self.outcome()

    def end_without_reply(self) -> None:
        """The image is complete."""
        self.close_pipe()
        self._do(self.connection.end())

    def outcome(self) -> Done:
        """The worker's last reply."""
        while not isinstance(reply := self.reply(), Done):
            pass
        return reply

    def close_pipe(self) -> None:
        """The door sends no more."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def close(self) -> None:
        """Close the pipe and the connection."""
        self.close_pipe()
        self.connection.close()
        self._loop.close()

    def _do(self, step: Coroutine[Any, Any, Result]) -> Result:
        return self._loop.run_until_complete(step)


@contextmanager
def upload(site: Site, task: Task) -> Iterator[Upload]:
    """An upload that is closed."""
    opened = Upload(site, task)
    try:
        yield opened
    finally:
        opened.close()


def send(site: Site, task: Task, data: bytes) -> Done:
    """Upload all of an image to a worker."""
    with upload(site, task) as opened:
        opened.send(data)
        return opened.end()
