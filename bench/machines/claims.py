"""Claims a second: 16 processes (`claimer.py`) that claim tasks, while 10,000 wait in a PostgreSQL."""

from __future__ import annotations

import statistics
import subprocess
import sys
import uuid
from contextlib import ExitStack

from sqlalchemy import insert, select

from bench.databases import NotInstalled, create, database
from bench.driving import WrongOutcome
from bench.harness import Row, Settings, progress
from douane.catalog import Catalog, ImportRequest
from douane.catalog.schema import images, tasks

CLAIMERS = 16
WAITING = 10_000
SECONDS = 10.0
MIN_RATE = 300.0
PLAN = {"plugins": [{"name": "format", "digest": "00"}]}
BATCH = 1000


def measure(settings: Settings) -> list[Row]:
    """A row of claims a second; each of them is checked to be one worker's alone."""
    try:
        with database("postgresql") as server:
            waiting = settings.size(WAITING, WAITING // 10)
            seconds = 1.0 if settings.quick else SECONDS
            rates = [_rate(create(server, f"claims-{number}"), waiting, seconds) for number in range(settings.times(3))]
    except NotInstalled as error:
        progress(f"  the claims are left out: {error}")
        return []
    what = f"claims a second, PostgreSQL, {CLAIMERS} claimers, {waiting:,} waiting"
    return [Row(what, statistics.median(rates), MIN_RATE, "the bound", "", min_ratio=1.0, samples={"claims": rates})]


def _rate(url: str, waiting: int, seconds: float) -> float:
    with Catalog(url) as catalog, ExitStack() as stack:
        queue(catalog, waiting)
        claimers = [_start(stack, url, f"claimer-{number}", seconds) for number in range(CLAIMERS)]
        for claimer in claimers:
            assert claimer.stdout is not None
            claimer.stdout.readline()
        for claimer in claimers:
            assert claimer.stdin is not None
            claimer.stdin.write("begin\n")
            claimer.stdin.flush()
        counts = [int(claimer.communicate()[0]) for claimer in claimers]
        remaining = catalog.waiting_count()
    if remaining + sum(counts) + CLAIMERS != waiting or not remaining:
        raise WrongOutcome(f"{CLAIMERS} + {sum(counts)} claims and {remaining} tasks that wait, of {waiting}")
    progress(f"  {sum(counts)} claims in {seconds:.0f} s, {min(counts)} to {max(counts)} of each claimer")
    return sum(counts) / seconds


def _start(stack: ExitStack, url: str, name: str, seconds: float) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "bench.machines.claimer", url, name, str(seconds)]
    claimer = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.callback(claimer.wait)
    stack.callback(claimer.kill)
    return claimer


def queue(catalog: Catalog, count: int) -> None:
    """`count` images whose import waits: one that the catalog made, and copies of its rows."""
    image = catalog.create_image(name="waits", disk_format="raw", container_format="bare")
    request = ImportRequest(stores=("file",))
    task = catalog.begin_queued(
        image.id, method="web-download", plan=PLAN, request=request, source={"url": "http://images.example.org/x"}
    )
    with catalog._database.write() as connection:
        image_row = dict(connection.execute(select(images).where(images.c.id == image.id)).one()._mapping)
        task_row = dict(connection.execute(select(tasks).where(tasks.c.id == task.id)).one()._mapping)
        for start in range(1, count, BATCH):
            pairs = [(str(uuid.uuid4()), str(uuid.uuid4())) for _ in range(start, min(start + BATCH, count))]
            connection.execute(insert(images), [{**image_row, "id": i, "task_id": t} for i, t in pairs])
            connection.execute(insert(tasks), [{**task_row, "id": t, "image_id": i} for i, t in pairs])
        connection.exec_driver_sql("ANALYZE")
