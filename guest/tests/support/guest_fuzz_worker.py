"""The processes that read mutants: a fork for each part, so that a crash ends a part, and memory begins anew."""

from __future__ import annotations

import faulthandler
import multiprocessing
import re
import resource
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from guest_fuzz_changes import Mutant, Mutator
from guest_fuzz_reading import read_all

PART = 250
MAX_SECONDS = 1.0
"""Of a processor, for one mutant."""
HANGS_AFTER = 8.0
"""Seconds of a processor after which a mutant is ended, with the place where it was."""
DIES_AFTER = 120
"""Seconds by the clock after which a process ends that runs no Python code which could be interrupted."""
MAX_MEMORY = 64 << 20
ADDRESSES = 2 << 30
"""Address space of a process: what would take more raises MemoryError, which is a failure."""


class Hangs(BaseException):
    """Raised by the timer. Not an Exception, which a reader might take for damage."""


@dataclass
class Failure:
    """A mutant that breaks a promise; `kind` is the same for all that break it in the same way."""

    number: int
    story: str
    kind: str
    why: str


@dataclass
class Totals:
    """The results of some or all mutants."""

    mutants: int = 0
    entries: int = 0
    clean: int = 0
    max_memory: int = 0
    slowest: list[tuple[float, int, str]] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    seeds: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, part: Totals) -> None:
        """Add the results of another part."""
        self.mutants += part.mutants
        self.entries += part.entries
        self.clean += part.clean
        self.max_memory = max(self.max_memory, part.max_memory)
        self.slowest = sorted([*self.slowest, *part.slowest], reverse=True)[:5]
        self.codes += part.codes
        self.seeds += part.seeds
        self.failures += part.failures


def workers(mutator: Mutator, first: int, count: int, processes: int, folder: Path) -> Iterator[Totals]:
    """Read `count` mutants from `first` on; yield the totals of each part, in order."""
    context = multiprocessing.get_context("fork")
    starts = range(first, first + count, PART)
    for group in range(0, len(starts), processes):
        running = []
        for start in starts[group : group + processes]:
            numbers = range(start, min(start + PART, first + count))
            reader, writer = context.Pipe(duplex=False)
            at = context.Value("q", start)
            process = context.Process(target=_work, args=(writer, at, mutator, numbers, folder))
            process.start()
            writer.close()
            running.append((reader, at, process))
        for reader, at, process in running:
            try:
                yield reader.recv()
            except EOFError:
                process.join()
                why = f"the process ended with status {process.exitcode}"
                yield Totals(mutants=1, failures=[Failure(at.value, "", "a process died", why)])
            process.join()


def _work(channel: Connection, at, mutator: Mutator, numbers: range, folder: Path) -> None:
    signal.signal(signal.SIGVTALRM, _alarm)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    totals = Totals()
    start = _memory("VmRSS")
    for number in numbers:
        at.value = number
        faulthandler.dump_traceback_later(DIES_AFTER, exit=True)
        mutant = mutator.make(number)
        failure = examine(mutant, totals, start)
        if failure is not None:
            totals.failures.append(failure)
            (folder / f"{number}.txt").write_text(f"{failure.kind}\n{failure.story}\n{failure.why}\n")
    channel.send(totals)


def _alarm(_number: int, _frame: FrameType | None) -> None:
    raise Hangs


def examine(mutant: Mutant, totals: Totals, start: int) -> Failure | None:
    """Read a mutant and keep what it cost; `start`: memory of the process before its first mutant."""
    failure = None
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew (proc(5))
    before = time.process_time()
    signal.setitimer(signal.ITIMER_VIRTUAL, HANGS_AFTER)
    try:
        summary = read_all(mutant.image)
        totals.entries += summary.entries
        totals.clean += not summary.codes
        totals.codes.update(set(summary.codes))
    except Hangs:
        failure = _failure(mutant, "hangs", traceback.format_exc(limit=-6))
    except Exception as error:  # whatever leaves is a failure
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"raised {type(error).__name__} in {Path(place.filename).name}:{place.name}"
        failure = _failure(mutant, kind, traceback.format_exc(limit=-6))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    seconds = time.process_time() - before
    memory = _memory("VmHWM") - start
    totals.mutants += 1
    totals.seeds[mutant.seed] += 1
    totals.max_memory = max(totals.max_memory, memory)
    totals.slowest = sorted([*totals.slowest, (seconds, mutant.number, mutant.story)], reverse=True)[:5]
    if failure is None and memory > MAX_MEMORY:
        failure = _failure(mutant, f"memory of {mutant.seed}", f"{memory >> 20} MiB")
    if failure is None and seconds > MAX_SECONDS:
        failure = _failure(mutant, f"slow {mutant.seed}", f"{seconds:.2f} s of a processor")
    return failure


def _failure(mutant: Mutant, kind: str, why: str) -> Failure:
    return Failure(mutant.number, mutant.story, re.sub(r"0x[0-9a-f]+", "N", kind), why)


def _memory(name: str) -> int:
    """A field of /proc/self/status, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) << 10
