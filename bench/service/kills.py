"""kill -9 of doors, workers and the database at random instants of imports: no image is lost, doubled or stuck.

With the catalog in SQLite, which is a part of the processes that are killed, and in a PostgreSQL and a MariaDB that are
killed, too, and started again.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bench import table
from bench.databases import NAMES, DatabaseServer, NotInstalled, create, database
from bench.harness import MiB, Row, Settings, progress
from bench.workspace import random_image

from .kill_clients import SETTLE_SECONDS, Client, Results
from .server import Server
from .victims import Victims

CLIENTS = 4
"""Imports at a time."""
WORKERS = 8
CYCLE_SECONDS = 13.5
"""In which each process is killed once. The service gives up if a process dies more than 5 times in a minute."""
SHOWN_EVERY = 25
PLAN = '[[plugin]]\nname = "format"\nuse = "format"\n'


@dataclass
class Kills(Results):
    """The results of `kill_at_random`."""

    kills: int = 0
    victims: Counter[str] = field(default_factory=Counter)


def measure(settings: Settings) -> list[Row]:
    """A row for each database: the faults of all kills."""
    folder = settings.directory / "serve-kills"
    folder.mkdir()
    image = random_image(settings.directory / "killed", settings.size(8 * MiB, 1 * MiB))
    rows = []
    for kind, count in (("postgresql", 1000), ("mariadb", 200)):
        try:
            with database(kind) as server:
                kills = kill_at_random(folder / kind, image, settings.times(count, 20), settings.seed, server)
        except NotInstalled as error:
            progress(f"  the kills of the database are left out: {error}")
        else:
            rows.append(_row(kills, NAMES[kind]))
    kills = kill_at_random(folder / "sqlite", image, settings.times(200 if rows else 1000, 20), settings.seed)
    return [*rows, _row(kills, "SQLite")]


def _row(result: Kills, name: str) -> Row:
    for fault in result.faults:
        progress(f"  FAULT: {fault}")
    victims = ", ".join(f"{number} times {kind}" for kind, number in result.victims.items())
    what = f"kill -9 during imports, {name}: images lost, doubled or stuck, and wrong answers"
    answers = ", ".join(f"{status or 'none'} {number} times" for status, number in sorted(result.answers.items()))
    note = f"killed {victims}; {result.imports} imports, {result.active} active in the end; answers: {answers}"
    return Row(what, len(result.faults), result.kills, "kills", "", max_ratio=0.0, timed=False, note=note)


def kill_at_random(
    folder: Path, image: Path, count: int, seed: int = 0, database_server: DatabaseServer | None = None
) -> Kills:
    """Kill `count` processes of a service, its `database_server` included, while clients import `image` until then."""
    folder.mkdir()
    chance = random.Random(seed)
    result = Kills()
    config = folder / "douane.toml"
    url = "" if database_server is None else f'database = "{create(database_server, "killed")}"\n'
    config.write_text(f"{PLAN}\n[serve]\nworkers = {WORKERS}\n{url}")
    with Server(folder / "home", config) as server:
        victims = Victims(server, WORKERS, database_server, chance)
        stop = threading.Event()
        clients = [Client(server, image, stop, result, chance.randrange(1 << 30)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            _kill(victims, count, chance, result)
        finally:
            stop.set()
            for client in clients:
                client.join()
        _check_store(folder / "home" / "store", result)
    return result


def _kill(victims: Victims, count: int, chance: random.Random, result: Kills) -> None:
    mean = CYCLE_SECONDS / victims.count
    while result.kills < count:
        time.sleep(chance.uniform(0.5 * mean, 1.5 * mean))
        kind = victims.kill()
        if kind is None:
            continue
        result.kills += 1
        result.victims[kind] += 1
        if result.kills % SHOWN_EVERY == 0:
            faults = f"{len(result.faults)} faults"
            progress(f"  {result.kills} kills, {result.imports} imports, {faults} (load average {table.load()})")


def _check_store(store: Path, result: Results) -> None:
    """All images are deleted: whatever is left in the store belongs to nobody."""
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        remnants = [path for name in ("images", "staging") for path in (store / name).glob("*")]
        if not remnants or time.monotonic() > end:
            break
        time.sleep(0.5)
    result.doubled += [f"{path.parent.name}/{path.name} belongs to no image" for path in remnants]
