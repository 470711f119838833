"""Many imports at once: none fails, memory stays bounded, and small calls are answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.harness import MiB, Row, Settings, progress
from bench.workspace import random_image

from .server import Server
from .small_calls import SmallCalls, idle_p99

MAX_MEMORY = 600.0
CONFIG = """
[[plugin]]
name = "format"
use = "format"

[serve.quota]
image_count_uploading = 100000
"""


def measure(settings: Settings) -> list[Row]:
    """Rows of failures, MiB and milliseconds."""
    count = settings.times(200, 12)
    folder = settings.directory / "serve-many"
    folder.mkdir()
    config = folder / "douane.toml"
    config.write_text(CONFIG)
    image = random_image(settings.directory / "many", settings.size(64 * MiB, 4 * MiB))
    with Server(folder / "home", config) as server:
        idle = idle_p99(server)
        memory = _Memory(server)
        with memory, SmallCalls(server) as calls, ThreadPoolExecutor(count) as pool:
            results = list(pool.map(lambda _: _import(server, image), range(count)))
    failures = [result for result in results if result != "active"]
    for reason, number in Counter(failures).most_common():
        progress(f"  FAILED {number} times: {reason}")
    what = f"{count} imports of {image.stat().st_size // MiB} MiB at once"
    return [
        Row(f"{what}: failed", len(failures), count, "imports", "", 0.0, timed=False, note="; ".join(failures[:3])),
        Row(f"{what}: memory of all processes", memory.peak, MAX_MEMORY, "the bound", "MiB", 1.0, timed=False),
        Row("small call beside them, p99", calls.p99(), idle, "idle", "ms", max_ratio=20.0),
    ]


def _import(server: Server, image: Path) -> str:
    image_id = server.create()
    for _ in range(100):
        answer = server.upload(image_id, "file", image)
        if answer.status != 503:  # 503 asks to come again, which every client does
            break
        time.sleep(0.5)
    if answer.status != 204:
        return f"{answer.status} {answer.body!r:.200}"
    status = server.settled(image_id)
    return status if status == "active" else f"{status}: {server.must('GET', f'/v2/images/{image_id}')}"


class _Memory:
    """The most memory that the service had, looked at twice a second."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.peak = 0.0

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            self.peak = max(self.peak, self._server.memory())

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
