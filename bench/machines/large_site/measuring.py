"""Run the site at rising speeds, and write down what each costs, and where it is behind."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from bench.catalog_rows import fill_postgresql
from bench.databases import create
from bench.harness import Row, Settings, progress
from bench.service.server import Server
from bench.table import load
from douane.catalog import Catalog
from support.glance.postgres import Postgres

MAX_CONNECTIONS = 500
WORKERS = 100
PROCESSES = 4
"""In which the workers are threads."""
IMPORTS_AN_HOUR = 10_000
IMAGES = 1_000_000
SPEEDS = (1, 5, 20)
WINDOW_SECONDS = 45.0
WARM_UP_SECONDS = 10.0


def measure(settings: Settings) -> list[Row]:
    """Rows for each speed. Raises FileNotFoundError if PostgreSQL is not there."""
    count = settings.size(IMAGES, 10_000)
    folder = settings.directory / "large-site"
    folder.mkdir()
    postgres = Postgres(connections=MAX_CONNECTIONS)
    try:
        postgres.start()
        url = create(postgres, "large")
        with Catalog(url) as catalog:
            progress(f"  making {count:,} images")
            fill_postgresql(catalog, count)
        rows = []
        for speed in (2,) if settings.quick else SPEEDS:
            rows += _rows(speed, _run(postgres, url, folder / f"door-{speed}", speed, settings))
        return rows
    finally:
        postgres.stop()


def _run(postgres: Postgres, url: str, folder: Path, speed: float, settings: Settings) -> dict[str, Any]:
    folder.mkdir()
    config = folder / "douane.toml"
    config.write_text(
        f'[[plugin]]\nname = "format"\nuse = "format"\n[serve]\ndatabase = "{url}"\n'
        f'[serve.stores.file]\nurl = "file:{folder.parent}/store"\ndefault = true\n'
    )
    window = 10.0 if settings.quick else WINDOW_SECONDS
    modules = "bench.machines.large_site"
    with ExitStack() as stack:
        door = stack.enter_context(Server(folder / "home", config, "--workers", "0"))
        catalog = stack.enter_context(Catalog(url))
        workers = [
            stack.enter_context(_Process(f"{modules}.workers", url, f"{speed}-{n}", WORKERS // PROCESSES, speed))
            for n in range(PROCESSES)
        ]
        arrivals = stack.enter_context(_Process(f"{modules}.arrivals", url, IMPORTS_AN_HOUR / 3600 * speed))
        time.sleep(WARM_UP_SECONDS)
        calls = [stack.enter_context(_Process(f"{modules}.calls", door.port)) for _ in range(2)]
        statistics_before, start = _statistics(catalog, postgres), time.monotonic()
        connections, waiting = 0, []
        while time.monotonic() - start < window:
            time.sleep(1.0)
            connections = max(connections, _connections(catalog))
            waiting.append(catalog.waiting_count())
        statistics_after, seconds = _statistics(catalog, postgres), time.monotonic() - start
        answers = [each.end() for each in calls]
        arrived = arrivals.end()
        worked = [each.end() for each in workers]
    return {
        "seconds": seconds,
        "transactions": statistics_after["transactions"] - statistics_before["transactions"],
        "imports": statistics_after["imports"] - statistics_before["imports"],
        "processor": statistics_after["processor"] - statistics_before["processor"],
        "connections": connections,
        "waiting": waiting,
        "calls": _merged([each["seconds"] for each in answers]),
        "refused": sum(each["refused"] for each in answers),
        "arrived": arrived,
        "claims": [value for each in worked for value in each["claims"]],
        "waits": [value for each in worked for value in each["waits"]],
        "errors": [each["errors"] for each in worked if each["errors"]],
        "load": load(),
    }


def _rows(speed: float, result: dict[str, Any]) -> list[Row]:
    name = f"site at {IMPORTS_AN_HOUR * speed:,.0f} imports an hour"
    seconds, imports = result["seconds"], max(result["imports"], 1)
    aim = IMPORTS_AN_HOUR * speed / 3600
    note = (
        f"{result['connections']} connections at most; waiting at the end {result['waiting'][-1]}, "
        f"at most {max(result['waiting'])}; arrivals {result['arrived']}; errors {result['errors']}; refused calls "
        f"{result['refused']}; load average {result['load']}"
    )
    rows = [
        Row(f"{name}: imports a second", imports / seconds, aim, "arrive", "", timed=False, note=note),
        Row(f"{name}: transactions an import", result["transactions"] / imports, 1, "1", "", timed=False),
        Row(f"{name}: transactions a second", result["transactions"] / seconds, 1, "1", "", timed=False),
        Row(
            f"{name}: processor time of the database for a transaction",
            result["processor"] / max(result["transactions"], 1) * 1000,
            1,
            "1",
            "ms",
            timed=False,
        ),
        _latency(f"{name}: a claim", result["claims"]),
        _latency(f"{name}: wait for a worker", result["waits"]),
    ]
    return rows + [_latency(f"{name}: {kind}", values) for kind, values in result["calls"].items()]


def _latency(what: str, seconds: Sequence[float]) -> Row:
    """The 99th percentile against the median, in milliseconds."""
    ordered = sorted(seconds) or [0.0]
    late = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return Row(f"{what}, p99", late * 1000, statistics.median(ordered) * 1000, f"the median of {len(ordered)}", "ms")


class _Process:
    """One of the programs of this package, until `end`."""

    def __init__(self, module: str, *arguments: object) -> None:
        words = [sys.executable, "-m", module, *map(str, arguments)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def end(self) -> dict[str, Any]:
        """What it measured."""
        output, _ = self._process.communicate(timeout=120)
        result: dict[str, Any] = json.loads(output)
        return result

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def _statistics(catalog: Catalog, postgres: Postgres) -> dict[str, float]:
    with catalog._database.read() as connection:
        number = connection.exec_driver_sql(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        ).scalar_one()
        imports = connection.exec_driver_sql("SELECT count(*) FROM tasks WHERE outcome = 'accepted'").scalar_one()
    return {"transactions": int(number), "imports": int(imports), "processor": _processor_seconds(postgres.pid)}


def _processor_seconds(pid: int) -> float:
    """Of a process, and of its children that have ended and that have not."""
    total = 0.0
    for process in (psutil.Process(pid), *psutil.Process(pid).children()):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
            if process.pid == pid:
                total += times.children_user + times.children_system
    return total


def _connections(catalog: Catalog) -> int:
    with catalog._database.read() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        return int(connection.exec_driver_sql(query).scalar_one())


def _merged(parts: Sequence[dict[str, list[float]]]) -> dict[str, list[float]]:
    merged: dict[str, list[float]] = {}
    for part in parts:
        for kind, values in part.items():
            merged.setdefault(kind, []).extend(values)
    return merged
