"""Import while faults strike, count what is lost, and print it as rows."""

from __future__ import annotations

import os
import random
import statistics
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench import table
from bench.driving import WrongOutcome
from bench.harness import MiB, Row, Settings, progress
from bench.service.kill_clients import Client, Results
from bench.workspace import random_image

from .accounting import account
from .site import Site
from .striking import Striking
from .take_over import TakeOvers

CLIENTS = 16
KEPT_SHARE = 0.1
"""Of the active images, those that are not deleted before `douane fsck` has compared their digests."""
TAKE_OVER_SECONDS = 2.0
SHOWN_EVERY = 50
MAX_SECONDS = 1800.0
"""After which the count is taken, however few imports a busy machine has begun."""


@dataclass
class ChaosResults(Results):
    """The results of `strike_imports`."""

    struck: dict[str, int] = field(default_factory=dict)
    take_overs: list[float] = field(default_factory=list)
    seconds: float = 0.0


def measure(settings: Settings) -> list[Row]:
    """Rows of faults, and of seconds until a dead worker's task is another's."""
    if os.geteuid() != 0:
        progress("  the faults of a site are left out: they need root, for namespaces of networks and a small disk")
        return []
    folder = settings.directory / "machines-chaos"
    folder.mkdir()
    folder.chmod(0o755)
    settings.directory.chmod(0o755)  # the database's user reads its clock there
    image = random_image(settings.directory / "struck", 2 * MiB)
    result = strike_imports(
        folder,
        image,
        imports=settings.times(1000, 1),
        pause=6.0 if not settings.quick else 0.3,
        seed=settings.seed,
        with_ceph=not settings.quick,
    )
    return _rows(result)


def strike_imports(
    folder: Path, image: Path, *, imports: int, pause: float, seed: int, with_ceph: bool
) -> ChaosResults:
    """Strike a site until clients have begun `imports`, and every kind of fault has struck; then count."""
    chance = random.Random(seed)
    result = ChaosResults()
    start = time.monotonic()
    with ExitStack() as stack:
        default = ("folder", "objects")[seed % 2]
        site = Site(folder, stack, default=default, with_ceph=with_ceph, chance=chance)
        progress(f"  the site is up after {time.monotonic() - start:.0f} s; the default store is {default}")
        stop = threading.Event()
        clients = [
            Client(site, image, stop, result, chance.randrange(1 << 30), stores=site.stores, kept_share=KEPT_SHARE)
            for _ in range(CLIENTS)
        ]
        with TakeOvers(site) as take_overs:
            _drive(site, clients, stop, Striking(site, seed, pause), result, imports)
        result.take_overs = take_overs.seconds
        account(site, result)
        if result.faults:
            _keep_logs(site)
    result.seconds = time.monotonic() - start
    return result


def _drive(
    site: Site, clients: list[Client], stop: threading.Event, striking: Striking, result: ChaosResults, imports: int
) -> None:
    for client in clients:
        client.start()
    next_report = 0
    printed: set[str] = set()
    try:
        with striking:
            end = time.monotonic() + MAX_SECONDS
            while time.monotonic() < end and (result.imports < imports or not striking.has_struck_with_all):
                time.sleep(0.5)
                striking.check()
                for fault in set(result.faults) - printed:
                    progress(f"  FAULT: {fault}")
                    printed.add(fault)
                if not any(client.is_alive() for client in clients):
                    raise WrongOutcome(f"all clients have given up: {result.wrong[:3]}\n{site.log()}")
                if result.imports >= next_report:
                    next_report = result.imports + SHOWN_EVERY
                    faults = f"{sum(striking.counts.values())} faults, {len(result.faults)} wrong"
                    progress(f"  {result.imports} imports, {faults} (load average {table.load()})")
        striking.check()
        site.check_alive()
    finally:
        stop.set()
        for client in clients:
            client.join()
        result.struck = dict(striking.counts)


def _keep_logs(site: Site) -> None:
    progress(site.log())


def _rows(result: ChaosResults) -> list[Row]:
    for fault in result.faults:
        progress(f"  FAULT: {fault}")
    struck = ", ".join(f"{count} times {name}" for name, count in sorted(result.struck.items()))
    answers = ", ".join(f"{status or 'none'} {count} times" for status, count in sorted(result.answers.items()))
    note = f"{struck}; {result.active} active; answers: {answers}; {result.seconds:.0f} s"
    what = f"{result.imports} imports at a site that faults strike"
    rows = [
        Row(f"{what}: {name}", len(faults), result.imports, "imports", "", max_ratio=0.0, timed=False, note=text)
        for name, faults, text in (
            ("images lost", result.lost, note),
            ("bytes without an image, and images without bytes", result.doubled, ""),
            ("images stuck", result.stuck, ""),
            ("wrong answers", result.wrong, ""),
        )
    ]
    if result.take_overs:
        ordered = sorted(result.take_overs)
        late = sum(seconds > TAKE_OVER_SECONDS for seconds in ordered)
        rows.append(
            Row(
                "from the end of a lease until another worker has the task, the median",
                statistics.median(ordered),
                TAKE_OVER_SECONDS,
                "the aim",
                "s",
                note=f"{len(ordered)} of them, {late} took longer than 2 s, at most {ordered[-1]:.1f} s",
            )
        )
    return rows
