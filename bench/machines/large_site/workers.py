"""Workers whose runs sleep: threads, each with a catalog and a heartbeat of its own, as a process has.

    python -m bench.machines.large_site.workers URL NAME COUNT SPEED

runs COUNT of them until its standard input ends, and prints what they measured as JSON.
"""

from __future__ import annotations

import json
import random
import select
import sys
import threading
import time
from typing import Any

from douane.catalog import Catalog, Task
from douane.catalog.waking import TaskListener, listen
from douane.errors import DouaneError
from douane.imports.heartbeat import HEARTBEAT_SECONDS, Heartbeat, Identity
from douane.imports.task_progress import CHECK_SECONDS, RECORD_SECONDS
from douane.imports.worker import LISTENING_POLL_SECONDS, SETTLE_SECONDS

MEDIAN_SECONDS = 15.0
SPREAD = 0.9
"""Of the logarithm: the mean run takes 22 s, one of a hundred two minutes."""

RESULTS: dict[str, Any] = {
    "report": {"verdicts": [{"plugin": "format", "verdict": "accept", "findings": {"format": "qcow2"}}]},
    "size": 2 << 30,
    "digests": {"md5": "ab" * 16, "sha256": "ab" * 32, "sha512": "ab" * 64},
    "disk_format": "qcow2",
    "container_format": "bare",
    "virtual_size": 20 << 30,
    "properties": {"format.seen": ("qcow2", "format")},
}


class SleepingWorker(threading.Thread):
    """One worker."""

    def __init__(self, url: str, name: str, speed: float, is_over: threading.Event) -> None:
        super().__init__(daemon=True)
        self._catalog = Catalog(url, is_checked=True)
        self._name = name
        self._speed = speed
        self._is_over = is_over
        self._chance = random.Random(name)
        self._heartbeat = Heartbeat(
            self._catalog, Identity(name=name, host=name), lambda: ["file"], HEARTBEAT_SECONDS / speed
        )
        self._listener = _listening(url)
        self.claims: list[float] = []
        """Seconds of each claim that got a task."""
        self.waits: list[float] = []
        """Seconds that a task has waited, in true time."""
        self.errors: dict[str, int] = {}
        self.busy = 0.0

    def run(self) -> None:
        """Claim and sleep until the end."""
        settle_at = look_at = time.monotonic()
        while not self._is_over.is_set():
            try:
                start = time.monotonic()
                if start >= look_at:
                    task = self._catalog.claim(self._name, reached=["file"])
                    if task is not None:
                        self.claims.append(time.monotonic() - start)
                        self._work(task)
                        self.busy += time.monotonic() - start
                        continue
                    look_at = start + LISTENING_POLL_SECONDS / self._speed * self._chance.uniform(0.8, 1.2)
                if time.monotonic() >= settle_at:
                    settle_at = time.monotonic() + SETTLE_SECONDS / self._speed
                    self._catalog.dead_tasks()
            except DouaneError as error:
                self.errors[error.code] = self.errors.get(error.code, 0) + 1
            pause = max(min(look_at, settle_at) - time.monotonic(), 0.0)
            if select.select([self._listener.fd], [], [], pause)[0]:
                self._listener.drain()
                look_at = 0.0
        self._listener.close()
        self._heartbeat.close()
        self._catalog.close()

    def _work(self, task: Task) -> None:
        assert task.declared is not None
        self.waits.append(time.monotonic() - float(task.declared.name or "0"))
        with self._heartbeat.working(task.id):
            end = time.monotonic() + self._chance.lognormvariate(0, SPREAD) * MEDIAN_SECONDS / self._speed
            looks = 0
            while (rest := end - time.monotonic()) > 0 and not self._is_over.wait(
                min(rest, CHECK_SECONDS / self._speed)
            ):
                looks += 1
                if looks % round(RECORD_SECONDS / CHECK_SECONDS) == 0:
                    self._catalog.progress(task, looks << 20, 2 << 30)
                elif not self._catalog.is_current(task):
                    return
            self._catalog.activate(self._catalog.ready_to_publish(task, **RESULTS), ["file"])


def _listening(url: str) -> TaskListener:
    listener = listen(url)
    assert listener is not None, "it is PostgreSQL"
    return listener


def main(url: str, name: str, count: int, speed: float) -> None:
    """See the module."""
    is_over = threading.Event()
    workers = [SleepingWorker(url, f"{name}-{number}", speed, is_over) for number in range(count)]
    for worker in workers:
        worker.start()
    select.select([sys.stdin], [], [])
    is_over.set()
    for worker in workers:
        worker.join()
    errors: dict[str, int] = {}
    for worker in workers:
        for code, number in worker.errors.items():
            errors[code] = errors.get(code, 0) + number
    results = {
        "claims": [seconds for worker in workers for seconds in worker.claims],
        "waits": [seconds for worker in workers for seconds in worker.waits],
        "busy": sum(worker.busy for worker in workers),
        "errors": errors,
    }
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
