"""The processes that examine mutants, and their summaries."""

from __future__ import annotations

import faulthandler
import multiprocessing
import re
import resource
import signal
import time
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType

from support.fuzzing.checks import Broken, Work, check, examine_cut
from support.fuzzing.mutants import Mutant, Mutator
from support.fuzzing.seeds import seeds

PART = 500
"""Mutants that a worker examines before it sends a summary and measures memory."""

HANGS_AFTER_S = 20
"""A mutant that takes longer hangs: the slowest good mutants take half a second."""

DIES_AFTER_S = 120
"""As above, if no Python code runs that could be interrupted: the worker prints its traceback and ends."""

MOST_RSS = 600 << 20
MOST_TRACED = 24 << 20
"""For one examination: three of its megabytes, the requested pieces, and the notes of readers."""

MOST_WRITTEN = 200
"""The number of failing inputs that a worker writes."""


class Hangs(BaseException):
    """Raised by the alarm. Not an Exception, which the examination would take for a failure of a reader."""


@dataclass
class Failure:
    """A mutant that fails a check; `kind` is the same for all that fail in the same way."""

    number: int
    length: int
    story: str
    kind: str
    why: str


@dataclass
class Totals:
    """The results of some or all mutants."""

    mutants: int = 0
    fed: int = 0
    steps: int = 0
    most_steps: int = 0
    most_rss: int = 0
    most_traced: int = 0
    slowest: list[tuple[float, int, str]] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, part: Totals) -> None:
        """Add the results of another part."""
        self.mutants += part.mutants
        self.fed += part.fed
        self.steps += part.steps
        self.most_steps = max(self.most_steps, part.most_steps)
        self.most_rss = max(self.most_rss, part.most_rss)
        self.most_traced = max(self.most_traced, part.most_traced)
        self.slowest = sorted([*self.slowest, *part.slowest], reverse=True)[:5]
        self.names += part.names
        self.codes += part.codes
        self.failures += part.failures


def workers(mutants: int, seed: int, first: int, count: int, folder: Path) -> Iterator[Totals]:
    """Examine `mutants` in `count` processes; yield the summary of each part. A worker that dies is a failure."""
    context = multiprocessing.get_context("fork")
    last = first + mutants
    at = context.Array("q", [-1] * count)
    running: dict[Connection, tuple[int, multiprocessing.process.BaseProcess]] = {}
    for number in range(count):
        ours, theirs = context.Pipe(duplex=False)
        parts = range(first + number * PART, last, count * PART)
        process = context.Process(
            target=_work,
            args=(theirs, at, number, seed, parts, last, folder),
        )
        process.start()
        theirs.close()
        running[ours] = number, process
    while running:
        for ready in wait(list(running)):
            assert isinstance(ready, Connection)
            try:
                yield ready.recv()
            except EOFError:
                number, ended = running.pop(ready)
                ended.join()
                if ended.exitcode:
                    why = f"the worker ended with status {ended.exitcode}"
                    yield Totals(failures=[Failure(at[number], 0, "", "worker died", why)])


def again(all_seeds: Mapping[str, bytes], seed: int, number: int, folder: Path) -> int:
    """Examine one mutant, and print its history and findings."""
    mutant = Mutator(all_seeds, seed).make(number)
    path = folder / f"{seed}-{number}.bin"
    path.write_bytes(mutant.data)
    print(f"{path}: {len(mutant.data)} bytes: {mutant.story}\ncuts {mutant.cuts}")
    totals = Totals()
    with Work() as work:
        failure = _examine(mutant, work, totals)
    print(f"{dict(totals.names)} {dict(totals.codes)}")
    print(f"{failure.kind}: {failure.why}" if failure else "all holds")
    return 1 if failure else 0


def _work(channel: Connection, at: list[int], place: int, seed: int, parts: range, last: int, folder: Path) -> None:
    signal.signal(signal.SIGALRM, _alarm)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it, too, and closes the channel
    mutator = Mutator(seeds(), seed)
    written = 0
    with Work() as work:
        for start in parts:
            totals = Totals()
            for number in range(start, min(start + PART, last)):
                at[place] = number
                faulthandler.dump_traceback_later(DIES_AFTER_S, exit=True)
                mutant = mutator.make(number)
                failure = _examine(mutant, work, totals)
                if failure is not None and written < MOST_WRITTEN:
                    written += 1
                    _write(folder, seed, mutant, failure)
            _measure_memory(mutant, totals)
            channel.send(totals)


def _alarm(_number: int, _frame: FrameType | None) -> None:
    raise Hangs


def _examine(mutant: Mutant, work: Work, totals: Totals) -> Failure | None:
    began = time.perf_counter()
    failure = None
    signal.alarm(HANGS_AFTER_S)
    try:
        examination = check(mutant.data, mutant.cuts, work, mutant.number % 4)
        totals.names.update(match.name for match in examination.matches)
        totals.codes.update({finding.code for finding in examination.findings})
    except Hangs:
        failure = _failure(mutant, "hangs", "".join(traceback.format_exc(limit=-3)))
    except Broken as error:
        failure = _failure(mutant, _kind(str(error)), str(error))
    except Exception as error:  # an examination must not raise
        failure = _failure(mutant, f"raised {type(error).__name__}", "".join(traceback.format_exc(limit=-3)))
    finally:
        signal.alarm(0)
    totals.mutants += 1
    totals.fed += 2 * len(mutant.data)
    totals.steps += work.steps
    totals.most_steps = max(totals.most_steps, work.steps)
    totals.slowest = sorted([*totals.slowest, (time.perf_counter() - began, mutant.number, mutant.story)])[-5:]
    if failure is not None:
        totals.failures.append(failure)
    return failure


def _failure(mutant: Mutant, kind: str, why: str) -> Failure:
    return Failure(mutant.number, len(mutant.data), mutant.story, kind, why)


def _kind(why: str) -> str:
    return re.sub(r"0x[0-9a-f]+|\d+", "N", why)[:90]


def _measure_memory(mutant: Mutant, totals: Totals) -> None:
    """Measure the peak of the worker, and the memory of one examination, that of the last mutant of a part."""
    totals.most_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    tracemalloc.start()
    examine_cut(mutant.data, mutant.cuts, size_known=False)
    totals.most_traced = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    for what, bound, size in (("RSS", MOST_RSS, totals.most_rss), ("an examination", MOST_TRACED, totals.most_traced)):
        if size > bound:
            totals.failures.append(_failure(mutant, f"memory of {what}", f"{size >> 20} MiB"))


def _write(folder: Path, seed: int, mutant: Mutant, failure: Failure) -> None:
    name = f"{seed}-{mutant.number}"
    (folder / f"{name}.bin").write_bytes(mutant.data)
    (folder / f"{name}.txt").write_text(f"{failure.kind}\n{failure.why}\n{mutant.story}\ncuts {mutant.cuts}\n")
