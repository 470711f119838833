"""Run cases in as many processes as that takes, within a limit of time."""

from __future__ import annotations

import collections
import re
import time
from collections.abc import Iterator, Sequence

from .cases import USUAL, Case, Facts, Outcome, Trial
from .driver_process import Died, DriverProcess, SharedMemory
from .subject import OPEN_FILES, Subject

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
MAX_NEXT_FD = OPEN_FILES * 2 // 3
WANT = re.compile(
    r"memory|too many open files|cannot allocate|temporarily unavailable|can't start new thread|no space left", re.I
)
"""An error of a process that is full. In production a process serves one image, and is never full of earlier ones."""

BATCH = 64
BATCH_BYTES = 8 << 20
MAX_AGE = 1 << 20
CASES_A_MEASUREMENT = 16


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
        self.leftovers = ""
        """The first error that came from what earlier instances had left in the process; empty if there was none."""

        self._age = 0  # cases that the process has run
        self._max_age = MAX_AGE
        self._next_fd = 0
        self._measured_age = self._first_memory = 0
        self._lasting: set[tuple[str, int]] = set()  # failures for want of something that a new process has, too
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
            self._age = self._next_fd = self._measured_age = self._first_memory = 0
        return self._process

    def restart(self, clock: float = 0.0) -> None:
        """Run the next case in a new process, with the clock shifted by `clock` seconds."""
        if self._process is not None:
            self._process.close()
            self._process = None
            self._age = 0
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
        is_single = self._subject.reads_file or self._subject.has_sockets
        batch: list[Case] = []
        size = 0
        for case in cases:
            if batch and (is_single or len(batch) >= min(BATCH, self._max_age) or size + len(case.data) > BATCH_BYTES):
                break
            batch.append(case)
            size += len(case.data)
        if self._subject.has_sockets or self._is_full() or self._age + len(batch) > self._max_age:
            self.restart(self._clock)
        outcomes: list[Outcome] = []
        for outcome in self._answers(batch, seconds):
            case = batch[len(outcomes)]
            if not self._may_be_full(outcome):
                self._count(case, outcome)
                outcomes.append(outcome)
                continue
            alone = self._again(case, outcome, seconds)
            self._count(case, alone)
            return [*outcomes, alone]
        return outcomes

    def _answers(self, cases: Sequence[Case], seconds: float) -> Iterator[Outcome]:
        """Yield the outcomes of `cases`; that of a process that dies or hangs is the last one."""
        try:
            for outcome in self.start().run(cases, reload=self.reload, seconds=seconds):
                self._process_cpu = outcome.process_cpu or self._process_cpu
                self._next_fd = outcome.next_fd
                self._age += 1
                yield outcome
        except Died as died:
            age = self._age
            self.restart(self._clock)
            self._age = age  # for `_may_be_full`; the next start sets it
            yield Outcome("hangs" if died.hangs else "died", message=died.reason, wall=seconds)

    def _is_full(self) -> bool:
        """True if earlier instances have left so much in the process that a new one is needed."""
        if self._process is None or not self._age:
            return False
        if self._age >= self._measured_age + CASES_A_MEASUREMENT or not self._measured_age:
            memory = self._process.memory()
            self._first_memory = self._first_memory or memory
            self._measured_age = self._age
            if memory - self._first_memory > (self._subject.memory_bytes - self._first_memory) // 2:
                return True
        return self._next_fd > MAX_NEXT_FD

    def _may_be_full(self, outcome: Outcome) -> bool:
        """True if the outcome may come from what earlier instances have left in the process."""
        if self._age <= (outcome.kind == "failed") or (outcome.error, outcome.line) in self._lasting:
            return False
        return outcome.kind == "died" or (outcome.kind == "failed" and _is_want(outcome))

    def _again(self, case: Case, outcome: Outcome, seconds: float) -> Outcome:
        """Run `case` in a new process; that outcome counts."""
        age = self._age
        self.restart(self._clock)
        alone = next(self._answers([case], seconds))
        if alone.kind == outcome.kind and (alone.error, alone.line) == (outcome.error, outcome.line):
            self._lasting.add((outcome.error, outcome.line))
        else:
            self._max_age = max(1, min(self._max_age, age // 2))
            self.leftovers = self.leftovers or (outcome.message if outcome.kind == "died" else outcome.describe())
        return alone

    def _count(self, case: Case, outcome: Outcome) -> None:
        self.recent.append((case, outcome))
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


def _is_want(outcome: Outcome) -> bool:
    return WANT.search(f"{outcome.error} {outcome.message}") is not None
