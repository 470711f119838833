"""The threads that inspect. Each keeps a run ready, with its plugins started, for the next image."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from douane.declared import DeclaredImage
from douane.engine import RunOptions, WarmRun, inspect_image
from douane.errors import DouaneError
from douane.report import Report
from douane.stream.sink import Sink
from douane.stream.source import Source

from .served_plan import ServedPlan, emit

log = logging.getLogger("douane")

CHECK_SECONDS = 5.0
"""How often a waiting run is checked: do its plugins still live, and is its plan still served?"""


class Job:
    """One image to be inspected. A worker sets `started` and `ended` once each; then `report` or `error` is there."""

    def __init__(
        self,
        make_source: Callable[[], Source],
        declared: DeclaredImage,
        sink: Sink | None,
        check_client: Callable[[], None],
    ) -> None:
        """`check_client` is called at times during the inspection, which ends with the error that it raises."""
        self.make_source = make_source
        self.check_client = check_client
        self.declared = declared
        self.sink = sink
        self.started = threading.Event()
        self.ended = threading.Event()
        self.plan_digest = ""
        """The plan that the image goes through; set with `started`."""
        self.report: Report | None = None
        self.error: BaseException | None = None
        self._claim_lock = threading.Lock()
        self._is_claimed = False

    def claim(self) -> bool:
        """True for the first caller: a worker that begins the job, or the client's side that cancels it."""
        with self._claim_lock:
            is_first, self._is_claimed = not self._is_claimed, True
            return is_first


class _WarmRun:
    """A run of the plan `served` that waits for its image."""

    def __init__(self, served: ServedPlan) -> None:
        self.served = served
        self.run = WarmRun(served.plan, RunOptions(tier=served.tier, emit=emit))


class Workers:
    """`count` threads. `current_plan` returns the plan that is served now."""

    def __init__(self, count: int, current_plan: Callable[[], ServedPlan], *, warm: bool) -> None:
        """With `warm`, plugins are started before their image is there."""
        self._current_plan = current_plan
        self._warm = warm
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"douane-worker-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, job: Job) -> None:
        """Give the job to the next free worker."""
        self._jobs.put(job)

    def stop(self, seconds: float) -> None:
        """Begin no more jobs, and wait so long for each thread to end its job."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(seconds)

    def _work(self) -> None:
        warm: _WarmRun | None = None
        try:
            while True:
                warm = self._ready(warm)
                try:
                    job = self._jobs.get(timeout=CHECK_SECONDS)
                except queue.Empty:
                    continue
                if job is None:
                    return
                if job.claim():
                    warm = self._ready(warm, start=False)
                    self._inspect(job, warm)
                    warm = None if job.sink is None else warm
        finally:
            if warm is not None:
                warm.run.close()

    def _ready(self, warm: _WarmRun | None, *, start: bool = True) -> _WarmRun | None:
        """A run that can take an image: `warm`, or with `start` a new one. None if there is none; the next image's
        inspection then starts the plugins, and its client learns what is wrong with them."""
        try:
            if warm is not None:
                if warm.served is self._current_plan() and warm.run.is_usable():
                    return warm
                warm.run.close()
            served = self._current_plan()
            if start and self._warm and not served.holds_connections:
                return _WarmRun(served)
        except DouaneError as error:
            log.error("the plugins cannot be started: %s", error)
        except Exception:  # whatever it is: without this thread, images would wait for a worker that is gone
            log.exception("the plugins cannot be started")
        return None

    def _inspect(self, job: Job, warm: _WarmRun | None) -> None:
        # The plan of the warm plugins: another plan may be served since they were checked.
        served = warm.served if warm is not None else self._current_plan()
        job.plan_digest = served.facts.digest
        job.started.set()
        try:
            source = job.make_source()

            def progress(_position: int, _size: int | None) -> None:
                job.check_client()

            if warm is not None and job.sink is None:
                job.report = warm.run.inspect(source, job.declared, progress=progress)
            else:
                options = RunOptions(tier=served.tier, emit=emit, progress=progress)
                job.report = inspect_image(served.plan, job.declared, source, job.sink, options)
        except BaseException as error:  # the client learns of it, and the thread goes on with the next image
            job.error = error
            if not isinstance(error, DouaneError):
                log.exception("an inspection failed")
        finally:
            job.ended.set()
