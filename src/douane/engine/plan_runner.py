"""Image after image through a plan that may be replaced meanwhile, with plugins that are started before their image."""

from __future__ import annotations

import functools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from douane.declared import DeclaredImage
from douane.errors import DouaneError
from douane.host.options import Progress, RunOptions, Watch
from douane.host.parked_process import ParkedProcess
from douane.host.pool import ProcessPool
from douane.plan.binding import ANYBODY, Sender
from douane.plan.model import Plan
from douane.report import Report
from douane.stream.source import Source
from douane.stream.target import Target

from .inspect import inspect_image
from .served_plan import ServedPlan, emit
from .warm import WarmRun

log = logging.getLogger("douane")

LOG_LINES, LOG_LINE = 200, 400
"""Lines that are kept of one image, and characters of each: 80 KB at most, beside a report."""


class _Waiting(NamedTuple):
    """Plugins that wait for an image."""

    served: ServedPlan
    plan: Plan
    run: WarmRun
    lines: deque[str]
    """What they have printed so far."""


class PlanRunner:
    """Made, used and closed by one thread: the kernel ends plugin processes with the thread that started them."""

    def __init__(self, current_plan: Callable[[], ServedPlan], *, warm: bool = True) -> None:
        """`current_plan` returns the plan that is served now. With `warm`, `prepare` starts plugins."""
        self._current_plan = current_plan
        self._warm = warm
        self._run: _Waiting | None = None
        self._pool: ProcessPool[ParkedProcess] = ProcessPool()
        self._lines = _new_lines()

    @property
    def log_lines(self) -> list[str]:
        """The last lines that the plugins of the last image logged and printed, each with its plugin."""
        return list(self._lines)

    def new_log(self) -> None:
        """Forget the lines of the last image: the next is another, and no run of `inspect` begins it."""
        self._lines = _new_lines()

    def prepare(self) -> None:
        """Have plugins of the current plan wait for the next image, if that can be; called while there is none.

        What is wrong with a plugin is logged. The next image's inspection then starts the plugins, and whoever sent it
        learns of it.
        """
        try:
            self._drop_unusable()
            served = self._current_plan()
            if self._run is None and self._warm and not served.holds_connections:
                lines = _new_lines()
                options = RunOptions(tier=served.tier, emit=functools.partial(_emit, lines), pool=self._pool)
                plan = served.plan.for_sender(ANYBODY)  # without what is bound to stores
                self._run = _Waiting(served, plan, WarmRun(plan, options), lines)
        except DouaneError as error:
            log.error("the plugins cannot be started: %s", error)
        except Exception:  # whatever it is: without this thread, images would wait for a worker that is gone
            log.exception("the plugins cannot be started")
        self._pool.check()

    @property
    def keeps_processes(self) -> bool:
        """True if processes of earlier images wait (`reuse`): measure them often, by `prepare`."""
        return len(self._pool) > 0

    def inspect(
        self,
        served: ServedPlan,
        source: Source,
        declared: DeclaredImage,
        *,
        sender: Sender = ANYBODY,
        progress: Progress | None = None,
        watch: Watch | None = None,
        targets: Sequence[Target] = (),
    ) -> Report:
        """The image of `source` through `served`, as far as that is for `sender`; see :func:`inspect_image`."""
        self._drop_unusable()
        plan = served.plan.for_sender(sender)
        if self._run is not None and self._run.served is served and plan == self._run.plan:
            waiting, self._run = self._run, None
            self._lines = waiting.lines
            try:
                return waiting.run.inspect(source, declared, progress=progress, watch=watch, targets=targets)
            finally:
                waiting.run.close()
        self.new_log()
        return inspect_image(plan, declared, source, None, self._options(served, progress, watch), targets=targets)

    def make_variant(
        self,
        served: ServedPlan,
        sender: Sender,
        source: Source,
        declared: DeclaredImage,
        *,
        received_digests: Sequence[str] = (),
        progress: Progress | None = None,
        watch: Watch | None = None,
        targets: Sequence[Target] = (),
    ) -> Report:
        """The image of `source`, which was accepted, through the plugins that are bound to the store of `sender`.

        Its lines follow those of the run before; see `new_log`. `received_digests` are those of the report.
        """
        assert sender.store is not None, "a variant is made for a store"
        plan = served.plan.for_sender(sender).for_variant(sender.store)
        plan = msgspec.structs.replace(plan, received_digests=tuple(received_digests))
        return inspect_image(plan, declared, source, None, self._options(served, progress, watch), targets=targets)

    def _options(self, served: ServedPlan, progress: Progress | None, watch: Watch | None) -> RunOptions:
        emit = functools.partial(_emit, self._lines)
        return RunOptions(tier=served.tier, emit=emit, progress=progress, watch=watch, pool=self._pool)

    def _drop_unusable(self) -> None:
        if self._run is None:
            return
        run = self._run.run
        try:
            if self._run.served is self._current_plan() and run.is_usable():
                return
        except Exception:  # the next image starts its plugins itself
            log.exception("the plugins that waited for an image cannot be looked at")
        self._run = None
        run.close()

    def close(self) -> None:
        """End all processes. Idempotent."""
        if self._run is not None:
            waiting, self._run = self._run, None
            waiting.run.close()
        self._pool.close()


def _new_lines() -> deque[str]:
    return deque(maxlen=LOG_LINES)


def _emit(lines: deque[str], plugin: str, level: int, text: str) -> None:
    emit(plugin, level, text)
    lines.append(f"{plugin}: {text}"[:LOG_LINE])
