"""Run cases in as many processes as that takes, within a limit of time."""

from __future__ import annotations

import collections
import time
from collections.abc import Sequence

from .cases import USUAL, Case, Facts, Outcome, Trial
from .driver_process import Died, DriverProcess, SharedMemory
from .subject import Subject

CASE_SECONDS = 8.0
HUNG_SECONDS = 2.0
"""Limit for a case after another one has hung."""

MAX_HUNG = 4
MAX_DEAD = 60
MAX_OVERFLOWS = 40
MAX_SLOW = 8
"""Outcomes of each of these kinds after which the suite gives up."""

SLOW_SECONDS = 2.0
SMALL_BYTES = 1 << 16
BATCH = 64
BATCH_BYTES = 8 << 20


class GaveUp(Exception):
    """The plugin hangs or dies so often that the suite can learn no more, or the time is over."""


OFTEN = "the plugin hangs, dies or waits so often that the other checks were left out; mend that, and run it again"


class Runner:
    """Runs cases, and counts outcomes and processes. `reload` True imports the plugin anew for each case.

    `usual` are the facts of most images: those that the author declares, or :data:`.cases.USUAL`.
    """

    def __init__(self, subject: Subject, usual: Facts = USUAL) -> None:
        self._subject = subject
        self.usual = usual
        self._memory = SharedMemory()
        self._process: DriverProcess | None = None
        self._clock = 0.0
        self.reload = False
        self.processes = 0
        self.hung = 0
        self.dead = 0
        self.overflows = 0
        self.slow = 0
        self.recent: collections.deque[Trial] = collections.deque(maxlen=64)
        """The last outcomes, including those that `run` could not return because it gave up."""

        self.limit: float | None = None  # of `spent`
        self._began = time.process_time()
        self._ended_cpu = 0.0
        self._process_cpu = 0.0

    @property
    def spent(self) -> float:
        """Seconds of processor time of the suite and its processes so far.

        The suite divides its time by this clock: on a busy machine it takes longer, and finds the same.
        """
        return time.process_time() - self._began + self._ended_cpu + self._process_cpu

    def start(self) -> DriverProcess:
        """Return the process; start it if there is none. Raises as :class:`DriverProcess` does."""
        if self._process is None:
            self._process = DriverProcess(self._subject, self._memory, self._clock)
            self.processes += 1
        return self._process

    def restart(self, clock: float = 0.0) -> None:
        """Run the next case in a new process, with the clock shifted by `clock` seconds."""
        if self._process is not None:
            self._process.close()
            self._process = None
            self._ended_cpu += self._process_cpu
            self._process_cpu = 0.0
        self._clock = clock

    def run(self, cases: Sequence[Case], *, seconds: float | None = None) -> list[Outcome]:
        """Return the outcomes of `cases`, in order. Raises GaveUp."""
        outcomes: list[Outcome] = []
        if seconds is None:
            seconds = CASE_SECONDS if not self.hung else HUNG_SECONDS
        while len(outcomes) < len(cases):
            if self.limit is not None and self.spent > self.limit:
                raise GaveUp("the time for all checks is over; the other checks were left out")
            outcomes += self._run_batch(cases[len(outcomes) :], seconds)
        return outcomes

    def run_one(self, case: Case, *, seconds: float | None = None) -> Outcome:
        """Return the outcome of one case. Raises GaveUp."""
        return self.run([case], seconds=seconds)[0]

    def _run_batch(self, cases: Sequence[Case], seconds: float) -> list[Outcome]:
        # A file ends with its image, and a socket serves one conversation: these take one case at a time.
        is_single = self._subject.described.reads == "random" or self._subject.has_sockets
        batch: list[Case] = []
        size = 0
        for case in cases:
            if batch and (is_single or len(batch) >= BATCH or size + len(case.data) > BATCH_BYTES):
                break
            batch.append(case)
            size += len(case.data)
        if self._subject.has_sockets:
            self.restart(self._clock)
        process = self.start()
        outcomes: list[Outcome] = []
        try:
            for outcome in process.run(batch, reload=self.reload, seconds=seconds):
                self._count(batch[len(outcomes)], outcome)
                outcomes.append(outcome)
        except Died as died:
            self.restart(self._clock)
            outcome = Outcome("hangs" if died.hangs else "died", message=died.reason, wall=seconds)
            self._count(batch[len(outcomes)], outcome)
            outcomes.append(outcome)
        return outcomes

    def _count(self, case: Case, outcome: Outcome) -> None:
        self.recent.append((case, outcome))
        self._process_cpu = outcome.process_cpu or self._process_cpu
        self.hung += outcome.kind == "hangs"
        self.dead += outcome.is_gone
        self.overflows += outcome.event("too-much-output") is not None
        self.slow += not outcome.is_gone and len(case.data) <= SMALL_BYTES and outcome.wall > SLOW_SECONDS
        too_many = self.hung > MAX_HUNG or self.dead > MAX_DEAD or self.overflows > MAX_OVERFLOWS
        if too_many or self.slow > MAX_SLOW:
            raise GaveUp(OFTEN)

    def close(self) -> None:
        """End the process, and release the memory."""
        self.restart()
        self._memory.close()
