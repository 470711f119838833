"""Many imports by two workers on two cores, against one worker on one core.

The images are uploaded first, to a door without workers, and wait. Then a `douane worker` starts on its cores. The time
is that from the first import's end to the last's, so that the start of processes does not count.
"""

from __future__ import annotations

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from bench import driving
from bench.databases import NotInstalled, create, database
from bench.driving import WrongOutcome
from bench.harness import MiB, Row, Settings, in_turn, medians, progress
from bench.service.server import Server
from bench.workspace import random_image, settle

IMPORTS = 30
DIGESTS = '["md5", "sha256", "sha512"]'


def measure(settings: Settings) -> list[Row]:
    """A row of images a second. Needs PostgreSQL, and two processors."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        progress("  two cores against one are left out: there is one")
        return []
    folder = settings.directory / "two-cores"
    folder.mkdir()
    image = random_image(settings.directory / "pinned", settings.size(64 * MiB, 4 * MiB))
    count = settings.size(IMPORTS, 8)
    try:
        with database("postgresql") as postgres:
            config = folder / "douane.toml"
            config.write_text(
                f'[import]\ndigests = {DIGESTS}\n[[plugin]]\nname = "format"\nuse = "format"\n'
                f'[serve]\ndatabase = "{create(postgres, "cores")}"\n'
                f'[serve.stores.a]\nurl = "file:{folder}/store"\ndefault = true\n'
            )
            with Server(folder / "door", config, "--workers", "0") as door:
                samples = in_turn(
                    settings.times(3),
                    {
                        "two": lambda: _rate(door, config, image, count, cores),
                        "one": lambda: _rate(door, config, image, count, cores[:1]),
                    },
                    warm_up=False,
                )
    except NotInstalled as error:
        progress(f"  two cores against one are left out: {error}")
        return []
    middle = medians(samples)
    what = f"{count} imports of {image.stat().st_size // MiB} MiB, 2 workers on 2 cores, images a second"
    return [Row(what, middle["two"], middle["one"], "1 worker on 1 core", "", min_ratio=1.8, samples=samples)]


def _rate(door: Server, config: Path, image: Path, count: int, cores: list[int]) -> float:
    """Images a second."""
    images = [door.create() for _ in range(count)]
    ends: list[float] = []

    def upload(image_id: str) -> None:
        answer = door.upload(image_id, "file", image)
        if answer.status != 204:
            raise WrongOutcome(f"an upload is answered with {answer.status} {answer.body!r:.300}\n{door.log()}")
        ends.append(time.monotonic())

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(count))
        uploads = [pool.submit(upload, image_id) for image_id in images]
        _wait_until_kept(config.parent / "store" / "staging", count, image.stat().st_size)
        settle()
        stack.callback(_end, _start(config, cores))
        for request in uploads:
            request.result()
    for image_id in images:
        door.delete(image_id)
    ends.sort()
    return (count - len(cores)) / (ends[-1] - ends[len(cores) - 1])


def _wait_until_kept(staging: Path, count: int, size: int) -> None:
    """Until all uploads are whole, in files of the store."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        sizes = [path.stat().st_size for path in staging.glob("*")] if staging.exists() else []
        if sum(length >= size for length in sizes) >= count:
            return
        time.sleep(0.2)
    raise WrongOutcome(f"of {count} uploads, {len(sizes)} are kept in {staging}")


def _start(config: Path, cores: list[int]) -> subprocess.Popen[str]:
    words = ["taskset", "-c", ",".join(map(str, cores)), *driving.COMMAND, "worker", "--config", str(config)]
    words += ["--home", str(config.parent / "worker"), "--workers", str(len(cores))]
    with (config.parent / "worker.log").open("ab") as log:
        return subprocess.Popen(words, stdout=log, stderr=log, text=True, env=driving.environment())


def _end(worker: subprocess.Popen[str]) -> None:
    worker.terminate()
    worker.wait(60)
