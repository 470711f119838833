"""The threads that inspect. Each keeps a run ready, with its plugins started, for its next image.

A thread has one image at a time, from start to end: the kernel ends plugin processes with the thread that started them.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from douane.declared import DeclaredImage
from douane.engine import RunOptions, WarmRun, inspect_image
from douane.engine.served_plan import ServedPlan, emit
from douane.errors import DouaneError
from douane.host.parked_process import ParkedProcess
from douane.host.pool import ProcessPool
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
    ) -> None:
        """`check_client` is called at times during the inspection, which ends with the error that it raises."""
        self.served = served
        self.make_source = make_source
        self.check_client = check_client
        self.declared = declared
        self.sender = sender
        self.sink = sink
        self.ended = threading.Event()
        self.report: Report | None = None
        self.error: BaseException | None = None


class _WarmRun:
    """A run of the plan `served` that waits for its image."""

    def __init__(self, served: ServedPlan, pool: ProcessPool[ParkedProcess]) -> None:
        self.served = served
        self.run = WarmRun(served.plan, RunOptions(tier=served.tier, emit=emit, pool=pool))


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
        warm: _WarmRun | None = None
        pool: ProcessPool[ParkedProcess] = ProcessPool()
        try:
            while True:
                warm = self._ready(warm, pool)
                pool.check()
                try:
                    job = self._jobs.get(timeout=CHECK_IDLE_SECONDS if len(pool) else CHECK_SECONDS)
                except queue.Empty:
                    continue
                if job is None:
                    return
                warm = self._ready(warm, pool, start=False)
                self._inspect(job, warm, pool)  # a run that was used is closed by `_ready`
                if not self._stay():
                    return
        finally:
            if warm is not None:
                warm.run.close()
            pool.close()
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _stay(self) -> bool:
        """True if this thread waits for another job; False if enough do."""
        with self._lock:
            is_needed = self._idle_count < self._count
            self._idle_count += is_needed
            return is_needed

    def _ready(self, warm: _WarmRun | None, pool: ProcessPool[ParkedProcess], *, start: bool = True) -> _WarmRun | None:
        """A run that can take an image: `warm`, or with `start` a new one. None if there is none; the next image's
        inspection then starts the plugins, and its client learns what is wrong with them."""
        try:
            if warm is not None:
                if warm.served is self._current_plan() and warm.run.is_usable():
                    return warm
                warm.run.close()
            served = self._current_plan()
            if start and self._warm and not served.holds_connections:
                return _WarmRun(served, pool)
        except DouaneError as error:
            log.error("the plugins cannot be started: %s", error)
        except Exception:  # whatever it is: without this thread, images would wait for a worker that is gone
            log.exception("the plugins cannot be started")
        return None

    def _inspect(self, job: Job, warm: _WarmRun | None, pool: ProcessPool[ParkedProcess]) -> None:
        try:
            source = job.make_source()

            def progress(_position: int, _size: int | None) -> None:
                job.check_client()

            plan = job.served.plan.for_sender(job.sender)
            if warm is not None and warm.served is job.served and job.sink is None and plan is job.served.plan:
                job.report = warm.run.inspect(source, job.declared, progress=progress)
            else:
                options = RunOptions(tier=job.served.tier, emit=emit, progress=progress, pool=pool)
                job.report = inspect_image(plan, job.declared, source, job.sink, options)
        except BaseException as error:  # the client learns of it, and the thread goes on with the next image
            job.error = error
            if not isinstance(error, DouaneError):
                log.exception("an inspection failed")
        finally:
            job.ended.set()
