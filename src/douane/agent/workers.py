"""The threads that inspect: each with a pass of its own that waits, warm, for the next image."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

import msgspec

from douane.declared import DeclaredImage
from douane.engine import DouaneError, Plan, RunOptions, WarmRun, inspect_image
from douane.host.log import LogLine
from douane.report import Report
from douane.sandbox import Tier
from douane.stream.sink import Sink
from douane.stream.source import Source

log = logging.getLogger("douane")

LOOK_SECONDS = 5.0
"""A pass that waits is looked at this often: whether its plugins live."""


class Serving(msgspec.Struct, frozen=True):
    """A plan as it is served now; another one, with the next number, when the configuration is read again."""

    number: int
    digest: str
    """SHA-256 (hex) of the plan, and of the code of its plugins."""
    plan: Plan
    tier: Tier

    @property
    def can_wait(self) -> bool:
        """False where a plugin holds a connection: its other end would grow tired of it."""
        targets = (target for spec in self.plan.plugins for target in spec.grants.values())
        return not any(target.startswith(("unix:", "tcp:")) for target in targets)


_Ready = tuple[Serving, WarmRun]


class Job:
    """One image to be inspected. `begun` and `ended` are set once each; `report` or `error` is there then."""

    def __init__(
        self, source: Callable[[], Source], declared: DeclaredImage, sink: Sink | None, check: Callable[[], None]
    ) -> None:
        """`check` is called now and then while it goes on; it raises what ends it."""
        self.make_source = source
        self.check = check
        self.declared = declared
        self.sink = sink
        self.begun = threading.Event()
        self.ended = threading.Event()
        self.plan = ""
        """The digest of the plan that it goes through, when it has begun."""
        self.report: Report | None = None
        self.error: BaseException | None = None
        self._claim = threading.Lock()
        self._taken = False

    def take(self) -> bool:
        """True for the one who asks first: a worker that begins it, or the client's side that gives it up."""
        with self._claim:
            taken, self._taken = self._taken, True
            return not taken


class Workers:
    """`count` threads. `serving` tells the plan of the moment."""

    def __init__(self, count: int, serving: Callable[[], Serving], emit: LogLine, *, warm: bool) -> None:
        self._serving = serving
        self._emit = emit
        self._warm = warm
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"douane-worker-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, job: Job) -> None:
        """Let the next free worker have it."""
        self._jobs.put(job)

    def stop(self, seconds: float) -> None:
        """No more; wait for what is under way."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(seconds)

    def _work(self) -> None:
        ready: _Ready | None = None
        try:
            while True:
                ready = self._prepared(ready)
                try:
                    job = self._jobs.get(timeout=LOOK_SECONDS)
                except queue.Empty:
                    continue
                if job is None:
                    return
                if job.take():
                    ready = self._prepared(ready, make=False)
                    self._do(job, ready)
                    ready = None if job.sink is None else ready
        finally:
            if ready is not None:
                ready[1].close()

    def _prepared(self, ready: _Ready | None, *, make: bool = True) -> _Ready | None:
        """A pass of the plan of the moment whose plugins live, or None."""
        try:
            return self._prepare(ready, make=make)
        except DouaneError as error:
            log.error("the plugins cannot be made ready: %s", error)
        except Exception:  # whatever it is, without this thread images would wait for nobody
            log.exception("the plugins cannot be made ready")
        return None  # the image that needs them is told why

    def _prepare(self, ready: _Ready | None, *, make: bool) -> _Ready | None:
        serving = self._serving()
        if ready is not None:
            if ready[0].number == serving.number and ready[1].is_usable():
                return ready
            ready[1].close()
        if not make or not self._warm or not serving.can_wait:
            return None
        return serving, WarmRun(serving.plan, RunOptions(tier=serving.tier, emit=self._emit))

    def _do(self, job: Job, ready: _Ready | None) -> None:
        # That of the plugins that live: another plan may be served since they were looked at.
        serving, warm = ready if ready is not None else (self._serving(), None)
        job.plan = serving.digest
        job.begun.set()
        try:
            source = job.make_source()

            def progress(_done: int, _size: int | None) -> None:
                job.check()

            if warm is not None and job.sink is None:
                job.report = warm.inspect(source, job.declared, progress=progress)
            else:
                job.report = inspect_image(
                    serving.plan,
                    job.declared,
                    source,
                    job.sink,
                    RunOptions(tier=serving.tier, emit=self._emit, progress=progress),
                )
        except BaseException as error:  # the client is told, and the next image is another one's
            job.error = error
            if not isinstance(error, DouaneError):
                log.exception("an inspection failed")
        finally:
            job.ended.set()
