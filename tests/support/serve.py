"""A real `douane serve` on a free port of loopback, with its door and its workers as real processes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

from .processes import SECONDS
from .waiting import until

_URL = re.compile(r"Image API at (\S+) ")


class Serve:
    """A running service. `url` is where it answers, `client` an HTTP client of it."""

    def __init__(self, home: Path, config: Path | None = None, *options: str) -> None:
        """Start it, and wait until it answers."""
        self.home = home
        self.log = home.parent / f"{home.name}.log"
        words = [sys.executable, "-m", "douane", "serve", "--home", str(home), "--listen", "127.0.0.1:0", *options]
        if config is not None:
            words += ["--config", str(config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        match = _URL.search(line)
        assert match, f"it did not start: {line!r}\n{self.log.read_text()}"
        self.url = match[1]
        self.address = (urlsplit(self.url).hostname or "", urlsplit(self.url).port or 0)
        self.client = httpx.Client(base_url=self.url, timeout=SECONDS)

    def processes(self) -> list[psutil.Process]:
        """The processes that the service has started, with those that they have started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def process_of(self, module: str) -> psutil.Process:
        """The first process that runs this module of Douane, as soon as there is one."""

        return until(f"a process runs {module}", lambda: self._processes_of(module))[0]

    def kill(self, module: str) -> None:
        """Kill all processes that run this module of Douane, without a warning."""
        for process in self._processes_of(module):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _processes_of(self, module: str) -> list[psutil.Process]:
        running = []
        for process in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):  # it has ended meanwhile
                if module in process.cmdline():
                    running.append(process)
        return running

    def connect(self) -> socket.socket:
        """A plain connection, for requests that no client would send."""
        connection = socket.create_connection(self.address)
        connection.settimeout(SECONDS)
        return connection

    def exchange(self, request: bytes) -> bytes:
        """Send these bytes; return what comes back until the service closes the connection."""
        with self.connect() as connection:
            connection.sendall(request)
            return read_to_end(connection)

    def create(self, **fields: Any) -> str:
        """The id of a new image, which is raw and bare if `fields` do not say otherwise."""
        fields = {"name": "n", "disk_format": "raw", "container_format": "bare", **fields}
        response = self.client.post("/v2/images", json=fields)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def image(self, image_id: str) -> dict[str, Any]:
        """The document of an image."""
        document: dict[str, Any] = self.client.get(f"/v2/images/{image_id}").json()
        return document

    def tasks(self, image_id: str) -> list[dict[str, Any]]:
        """The tasks of an image."""
        tasks: list[dict[str, Any]] = self.client.get(f"/v2/images/{image_id}/tasks").json()["tasks"]
        return tasks

    def staged(self) -> list[str]:
        """The names of the staged files in the default store."""
        folder = self.home / "store" / "staging"
        return sorted(os.listdir(folder)) if folder.exists() else []

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; return the exit code, when no process of it is left."""
        started = self.processes() if self.process.poll() is None else []
        self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        self.client.close()
        gone, alive = psutil.wait_procs(started, timeout=SECONDS)
        assert not alive, f"these processes are left: {alive}; {len(gone)} are gone"
        return code


def read_to_end(connection: socket.socket) -> bytes:
    """What comes until the other side closes the connection."""
    received = b""
    while True:
        try:
            piece = connection.recv(1 << 16)
        except ConnectionResetError:
            return received
        if not piece:
            return received
        received += piece


def status_of(answer: bytes) -> int:
    """The status code of a raw answer; 0 if there is none."""
    words = answer.split(b" ", 2)
    return int(words[1]) if len(words) > 1 else 0


@contextmanager
def serving(home: Path, config: Path | None = None, *options: str) -> Iterator[Serve]:
    """A running service, which is ended afterwards."""
    serve = Serve(home, config, *options)
    try:
        yield serve
    finally:
        if serve.process.poll() is None:
            serve.stop()
