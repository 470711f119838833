"""A `douane serve` to measure: its own home, its own port of loopback, and the usage of all its processes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import driving
from bench.harness import MiB

OCTETS = {"Content-Type": "application/octet-stream"}
READY_SECONDS = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Answer:
    """The answer to a request."""

    status: int
    body: bytes
    retry_after: str | None = None
    """The header Retry-After, which every 503 must have."""

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Usage:
    """What the service's processes have used: seconds of a processor, and bytes written to disks."""

    cpu: float
    written: int

    def __sub__(self, earlier: Usage) -> Usage:
        return Usage(self.cpu - earlier.cpu, self.written - earlier.written)


class Server:
    """A running service. Closing it ends all its processes."""

    def __init__(self, home: Path, config: Path | None = None, *words: str) -> None:
        self.home = home
        self.port = _free_port()
        self._log = home.with_suffix(".log")
        argv = [*driving.COMMAND, "serve", "--home", str(home), "--listen", f"127.0.0.1:{self.port}", *words]
        if config is not None:
            argv += ["--config", str(config)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                argv, stdout=log, stderr=log, env=driving.environment(), start_new_session=True
            )
        self._wait_until_ready()

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """True if it ended by itself."""
        return self._process.poll() is not None

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise driving.WrongOutcome(f"`douane serve` ended: {self.log()}")
            if self.answers():
                return
            time.sleep(0.05)
        raise driving.WrongOutcome(f"`douane serve` does not answer: {self.log()}")

    def answers(self) -> bool:
        """True if the door answers now."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/healthcheck").status == 200
        return False

    def log(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-4000:]

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request on a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.read(), response.headers["Retry-After"])

    def must(self, method: str, path: str, document: Any = None) -> Any:
        """Send JSON; the decoded answer. Raises WrongOutcome unless the status is 2xx."""
        body = None if document is None else json.dumps(document).encode()
        answer = self.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        if not 200 <= answer.status < 300:
            raise driving.WrongOutcome(f"{method} {path}: {answer.status} {answer.body!r:.500}\n{self.log()}")
        return answer.json() if answer.body else None

    def create(self, name: str = "bench") -> str:
        """A new raw image; its id."""
        fields = {"name": name, "disk_format": "raw", "container_format": "bare"}
        image_id: str = self.must("POST", "/v2/images", fields)["id"]
        return image_id

    def upload(self, image: str, door: str, data: Path) -> Answer:
        """PUT `door` (``file`` or ``stage``) by sendfile(2): a client that copies would take processor time."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        with contextlib.closing(connection), data.open("rb") as file:
            connection.putrequest("PUT", f"/v2/images/{image}/{door}")
            for name, value in {"Content-Length": str(data.stat().st_size), **OCTETS}.items():
                connection.putheader(name, value)
            connection.endheaders()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may answer before the end
                connection.sock.sendfile(file)
            response = connection.getresponse()
            return Answer(response.status, response.read(), response.headers["Retry-After"])

    def start_import(self, image: str, **request: Any) -> None:
        """Import the staged data."""
        self.must("POST", f"/v2/images/{image}/import", {"method": {"name": "glance-direct"}, **request})

    def status(self, image: str) -> str:
        """The image's status."""
        status: str = self.must("GET", f"/v2/images/{image}")["status"]
        return status

    def settled(self, image: str, seconds: float = 300) -> str:
        """The status after the import that runs now. It is not asked for more often, because each answer takes
        milliseconds of the processors that the import needs."""
        end = time.monotonic() + seconds
        while (status := self.status(image)) in ("importing", "uploading") and time.monotonic() < end:
            time.sleep(0.03)
        return status

    def delete(self, image: str) -> None:
        """Delete the image and its data."""
        self.must("DELETE", f"/v2/images/{image}")

    def pids(self) -> list[int]:
        """All its processes, those of plugins included: its session, and what the session started in others."""
        return list(_tree(self._process.pid))

    def usage(self) -> Usage:
        """The usage of its processes and of their ended children (proc_pid_stat(5), proc_pid_io(5))."""
        cpu, written = 0, 0
        for pid in self.pids():
            with contextlib.suppress(OSError, ProcessLookupError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                cpu += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
                counters = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
                written += int(counters["write_bytes"])
        return Usage(cpu / _TICKS, written)

    def memory(self) -> float:
        """MiB of all its processes, shared pages divided by their users (PSS, proc_pid_smaps(5))."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError, ProcessLookupError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        return total * 1024 / MiB

    def close(self) -> None:
        """Ask it to end, and wait; then kill what is left."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """kill -9 of all its processes."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def stores_config(path: Path, folder: Path, names: Sequence[str]) -> Path:
    """A configuration with the default plan and these file stores below `folder`, the first the default."""
    tables = []
    for number, name in enumerate(names):
        tables.append(f'[serve.stores.{name}]\nurl = "file:{folder / name}"\n')
        if not number:
            tables.append("default = true\n")
    path.write_text(path.read_text() + "".join(tables) if path.exists() else "".join(tables))
    return path


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
