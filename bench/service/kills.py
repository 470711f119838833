"""kill -9 of doors and workers at random instants of imports: no image is lost, doubled or stuck."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bench.driving import WrongOutcome
from bench.harness import MiB, Row, Settings, progress
from bench.workspace import random_image

from .server import Server

CLIENTS = 4
"""Imports at a time."""
PAUSE_SECONDS = (1.8, 3.6)
"""Between two kills. The service gives up if one of its processes dies more than 5 times in a minute; here five
processes die in turn."""
WORKERS = 4
SETTLE_SECONDS = 120.0


@dataclass
class Kills:
    """The results of `kill_at_random`: what was killed, and a sentence for every fault."""

    kills: int = 0
    imports: int = 0
    victims: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    """The client was told that the image is there, and it is not."""
    doubled: list[str] = field(default_factory=list)
    """Bytes in the store that belong to no image."""
    stuck: list[str] = field(default_factory=list)
    """Images that cannot be used again."""

    @property
    def faults(self) -> list[str]:
        """All of them."""
        return self.lost + self.doubled + self.stuck


def measure(settings: Settings) -> list[Row]:
    """One row: the faults of all kills."""
    count = settings.times(1000, 20)
    folder = settings.directory / "serve-kills"
    folder.mkdir()
    image = random_image(settings.directory / "killed", settings.size(8 * MiB, 1 * MiB))
    result = kill_at_random(folder, image, count, settings.seed)
    for fault in result.faults:
        progress(f"  FAULT: {fault}")
    victims = ", ".join(f"{number} times {name}" for name, number in result.victims.items())
    what = "kill -9 during imports: images lost, doubled or stuck"
    note = f"killed {victims}; {result.imports} imports"
    return [Row(what, len(result.faults), result.kills, "kills", "", max_ratio=0.0, timed=False, note=note)]


def kill_at_random(folder: Path, image: Path, count: int, seed: int = 0) -> Kills:
    """Kill `count` processes of a service while `CLIENTS` threads import `image` until then."""
    chance = random.Random(seed)
    result = Kills()
    home = folder / "home"
    with Server(home, None, "--workers", str(WORKERS)) as server:
        killed: list[str] = []
        stop = threading.Event()
        clients = [_Client(server, image, stop, chance.randrange(1 << 30)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            while result.kills < count:
                time.sleep(chance.uniform(*PAUSE_SECONDS))
                if (name := _kill_one(server, killed)) is not None:
                    killed.append(name)
                    result.kills += 1
                    result.victims[name] += 1
        finally:
            stop.set()
            for client in clients:
                client.join()
        for client in clients:
            result.imports += client.imports
            _check(server, client.outcomes, image.read_bytes(), result)
        _check_store(server, home / "store", result)
    return result


def _kill_one(server: Server, kills: list[str]) -> str | None:
    """Kill the child of the supervisor whose kind of process waits longest; the name of what was killed.

    The supervisor starts another. Raises WrongOutcome if the service has ended.
    """
    processes = _children(server)
    if not processes:
        raise WrongOutcome(f"the service has ended:\n{server.log()}")
    turn = "door" if len(kills) % (WORKERS + 1) == WORKERS else "worker"
    pids = sorted(pid for pid, name in processes.items() if name == turn)
    if not pids:
        return None  # it is just being started
    os.kill(pids[0], signal.SIGKILL)  # the oldest: numbers grow
    return turn


def _children(server: Server) -> dict[int, str]:
    children: dict[int, str] = {}
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{server.pid}/task").iterdir():
            for pid in map(int, (task / "children").read_text().split()):
                with contextlib.suppress(OSError):
                    command = Path(f"/proc/{pid}/cmdline").read_bytes()
                    name = next((kind for kind in ("door", "worker") if f".{kind}\0".encode() in command), None)
                    if name is not None:
                        children[pid] = name
    return children


class _Client(threading.Thread):
    """Imports one image after the other, as a client that repeats what failed."""

    def __init__(self, server: Server, image: Path, stop: threading.Event, seed: int) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._image = image
        self._stop_event = stop
        self._chance = random.Random(seed)
        self.imports = 0
        self.outcomes: dict[str, str] = {}
        """By image: ``told`` if the client was told that it is active, ``open`` if not."""

    def run(self) -> None:
        while not self._stop_event.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException, WrongOutcome):  # a killed door, or worker
                self._import(self._server.create())

    def _import(self, image: str) -> None:
        self.outcomes[image] = "open"
        self.imports += 1
        if self._chance.random() < 0.5:
            if self._server.upload(image, "file", self._image).status == 204:
                self.outcomes[image] = "told"
        elif self._server.upload(image, "stage", self._image).status == 204:
            self._server.start_import(image)
            if self._server.settled(image, 60) == "active":
                self.outcomes[image] = "told"


def _check(server: Server, outcomes: dict[str, str], data: bytes, result: Kills) -> None:
    for image, outcome in outcomes.items():
        status = _final_status(server, image)
        if status == "active":
            body = server.request("GET", f"/v2/images/{image}/file").body
            if body != data:
                result.lost.append(f"{image} is active and has {len(body)} other bytes")
        elif outcome == "told":
            result.lost.append(f"{image} was said to be active, and is {status}")
        elif status == "uploading":  # its client has staged it, and never learned so: it can be imported
            server.start_import(image)
            if server.settled(image, SETTLE_SECONDS) != "active":
                result.stuck.append(f"{image} was staged, and cannot be imported")
        elif status != "queued":
            result.stuck.append(f"{image} stays {status}")
        server.delete(image)


def _final_status(server: Server, image: str) -> str:
    end = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < end:
        status = server.status(image)
        if status in ("queued", "active"):
            return status
        if status == "uploading" and server.must("GET", f"/v2/images/{image}").get("size") is not None:
            return status
        time.sleep(0.5)
    return status


def _check_store(server: Server, store: Path, result: Kills) -> None:
    """All images are deleted: whatever is left in the store belongs to nobody."""
    end = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < end:
        left = [path for name in ("images", "staging") for path in (store / name).glob("*")]
        if not left:
            return
        time.sleep(0.5)
    result.doubled += [f"{path.parent.name}/{path.name} belongs to no image" for path in left]
