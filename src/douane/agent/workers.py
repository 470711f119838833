"""The threads that inspect. Each keeps a run ready, with its plugins started, for its next image.

A thread has one image at a time, from start to end: the kernel ends plugin processes with the thread that started them.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from douane.declared import DeclaredImage
from douane.engine import Target
from douane.engine.plan_runner import PlanRunner
from douane.engine.served_plan import ServedPlan
from douane.errors import DouaneError
from douane.evidence import sign_accepted
from douane.plan.binding import ANYBODY, Sender
from douane.report import Report
from douane.stream.sink import Sink
from douane.stream.source import Source

log = logging.getLogger("douane")

CHECK_SECONDS = 5.0
"""How often a waiting run is checked: do its plugins still live, and is its plan still served?"""

CHECK_IDLE_SECONDS = 0.5
"""How often processes between two images (`reuse`) are measured: one that an image took over could write files."""


class Job:
    """One image to be inspected. A worker sets `ended`; then `report` or `error` is there."""

    def __init__(
        self,
        served: ServedPlan,
        make_source: Callable[[], Source],
        declared: DeclaredImage,
        sink: Sink | None,
        check_client: Callable[[], None],
        sender: Sender = ANYBODY,
        image_id: str | None = None,
    ) -> None:
        """`check_client` is called at times during the inspection, which ends with the error that it raises.

        An accepted image with an `image_id` gets a summary, if the plan says so.
        """
        self.served = served
        self.make_source = make_source
        self.check_client = check_client
        self.declared = declared
        self.sender = sender
        self.image_id = image_id
        self.sink = sink
        self.ended = threading.Event()
        self.report: Report | None = None
        self.error: BaseException | None = None


class Workers:
    """At least `count` threads, and one for each further job. `current_plan` returns the plan that is served now."""

    def __init__(self, count: int, current_plan: Callable[[], ServedPlan], *, warm: bool) -> None:
        """With `warm`, plugins are started before their image is there."""
        self._count = count
        self._current_plan = current_plan
        self._warm = warm
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle_count = 0
        self._threads: set[threading.Thread] = set()
        with self._lock:
            for _ in range(count):
                self._add_thread()

    def put(self, job: Job) -> None:
        """Begin the job: the slots decide how many there are at a time. Raises RuntimeError if there is no thread."""
        with self._lock:
            if not self._idle_count:
                self._add_thread()
            self._idle_count -= 1
            self._jobs.put(job)

    def stop(self, seconds: float) -> None:
        """Begin no more jobs, and wait so long for each thread to end its job."""
        with self._lock:
            threads = list(self._threads)
        for _ in threads:
            self._jobs.put(None)
        for thread in threads:
            thread.join(seconds)

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._work, name="douane-worker", daemon=True)
        thread.start()
        self._threads.add(thread)
        self._idle_count += 1

    def _work(self) -> None:
        runner = PlanRunner(self._current_plan, warm=self._warm)
        try:
            while True:
                runner.prepare()
                try:
                    job = self._jobs.get(timeout=CHECK_IDLE_SECONDS if runner.keeps_processes else CHECK_SECONDS)
                except queue.Empty:
                    continue
                if job is None:
                    return
                _inspect(job, runner)
                if not self._stay():
                    return
        finally:
            runner.close()
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _stay(self) -> bool:
        """True if this thread waits for another job; False if enough do."""
        with self._lock:
            is_needed = self._idle_count < self._count
            self._idle_count += is_needed
            return is_needed


def _inspect(job: Job, runner: PlanRunner) -> None:
    def progress(_position: int, _size: int | None) -> None:
        job.check_client()

    try:
        report = runner.inspect(
            job.served,
            job.make_source(),
            job.declared,
            sender=job.sender,
            progress=progress,
            targets=() if job.sink is None else (Target(job.sink),),
        )
        sign_accepted(job.served.plan, report, job.image_id, job.declared.name)
        job.report = report
    except BaseException as error:  # the client learns of it, and the thread goes on with the next image
        job.error = error
        if not isinstance(error, DouaneError):
            log.exception("an inspection failed")
    finally:
        job.ended.set()
