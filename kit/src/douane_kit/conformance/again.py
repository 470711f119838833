"""Run the input of a saved finding again: is the fault still there?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

from douane import sandbox
from douane.engine import PluginSpec

from . import growth, judge, memory, programs
from .cases import Case, Outcome, differ
from .driver_process import NotRun
from .findings import Report
from .loading import Loading
from .repeat import Repeat
from .runner import GaveUp, Runner
from .saved import SavedFinding
from .subject import Subject

RUNS = 3
LONG_SECONDS = 25.0


class Again(NamedTuple):
    """The outcomes on a saved input, and whether they show the fault."""

    is_fault: bool
    outcomes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the result for --json."""
        return {"outcome": "found" if self.is_fault else "nothing-found", "outcomes": list(self.outcomes)}


def run_again(spec: PluginSpec, tier: sandbox.Tier, finding: SavedFinding, cases: Sequence[Case]) -> Again:
    """Run the plugin on the `cases` of a saved finding. Raises PlanError, NotRun, SandboxError."""
    if finding.check == "program":
        return _program(spec, tier, finding, cases[0])
    subject = Subject(spec, tier)
    runner = Runner(subject)
    try:
        Loading(runner, subject, Report(spec.name, spec.use, 0)).load()
        return _CHECKS[finding.check](_Rerun(subject, runner, finding), cases)
    except GaveUp as error:
        raise NotRun(str(error)) from error
    finally:
        runner.close()
        subject.close()


class _Rerun(NamedTuple):
    subject: Subject
    runner: Runner
    finding: SavedFinding

    def alone(self, case: Case, **changes: Any) -> Outcome:
        """Run `case` in a new process."""
        self.runner.restart()
        return self.runner.run_one(dataclasses.replace(case, **changes), seconds=LONG_SECONDS)


def _outcome(rerun: _Rerun, cases: Sequence[Case]) -> Again:
    outcome = rerun.alone(cases[0], trace=True)
    fault = judge.judge(cases[0], outcome, judge.broad_handlers(rerun.subject.sources()))
    return Again(fault is not None and rerun.finding.code.startswith(fault.code), (outcome.describe(),))


def _differ(rerun: _Rerun, cases: Sequence[Case]) -> Again:
    outcomes = [rerun.alone(case) for case in cases]
    is_fault = any(differ(outcomes[0], outcome) for outcome in outcomes[1:])
    return Again(is_fault, tuple(outcome.describe() for outcome in outcomes))


def _repeat(rerun: _Rerun, cases: Sequence[Case]) -> Again:
    finding = Repeat(rerun.runner).check(cases)
    return Again(finding is not None, finding.outcomes if finding is not None else ("always the same answer",))


def _time(rerun: _Rerun, cases: Sequence[Case]) -> Again:
    halves = _half(cases[0])
    seconds = []
    for case in halves:
        outcomes = [rerun.runner.run_one(case, seconds=LONG_SECONDS) for _ in range(RUNS)]
        seconds.append(min(outcome.wall if outcome.kind == "hangs" else outcome.cpu for outcome in outcomes))
    texts = [f"{cpu:.3g} s for {len(case.data)} bytes" for case, cpu in zip(halves, seconds, strict=True)]
    return Again(seconds[1] > growth.CONFIRMED_STEEP * max(seconds[0], 1e-6), tuple(texts))


def _memory(rerun: _Rerun, cases: Sequence[Case]) -> Again:
    halves = _half(cases[0])
    outcomes = []
    for case in halves:
        rerun.alone(dataclasses.replace(case, data=case.data[: 256 << 10]), measure_memory=True)
        measured = dataclasses.replace(case, measure_memory=True)
        outcomes.append(rerun.runner.run_one(measured, seconds=LONG_SECONDS))
    smaller, larger = (memory.peaks_of(outcome) for outcome in outcomes)
    size = len(halves[1].data) - len(halves[0].data)
    is_fault = any(
        after - before >= size // kind.share for kind, before, after in zip(memory.KINDS, smaller, larger, strict=True)
    )
    peaks = zip(halves, (smaller, larger), strict=True)
    return Again(is_fault, tuple(f"{max(peak) >> 10} KiB for {len(case.data)} bytes" for case, peak in peaks))


def _half(case: Case) -> tuple[Case, Case]:
    return dataclasses.replace(case, data=case.data[: len(case.data) // 2]), case


def _chatter(rerun: _Rerun, cases: Sequence[Case]) -> Again:
    outcome = rerun.alone(cases[0])
    amount = outcome.printed + outcome.logged
    return Again(growth.is_chatter(outcome), (f"{amount} bytes printed and logged for {outcome.chunks} chunks",))


def _same(rerun: _Rerun, cases: Sequence[Case]) -> Again:
    outcome = rerun.alone(cases[0]).describe()
    return Again(outcome in rerun.finding.outcomes, (outcome,))


def _engine(rerun: _Rerun, cases: Sequence[Case]) -> Again:
    outcome = rerun.alone(cases[0])
    verdict, _ = programs.through_engine(rerun.subject.spec, rerun.subject.tier, cases[0])
    by_engine = "no verdict" if verdict is None else f"{verdict.outcome} {verdict.code}"
    is_fault = verdict is not None and programs.disagrees(verdict, outcome)
    return Again(is_fault, (f"the suite: {outcome.describe()}", f"the engine: {by_engine}"))


def _program(spec: PluginSpec, tier: sandbox.Tier, finding: SavedFinding, case: Case) -> Again:
    answers = []
    codes = set()
    for _ in range(2):
        verdict, printed = programs.through_engine(spec, tier, case)
        if verdict is not None:
            answers.append(f"{verdict.outcome} {verdict.message or ''}".strip())
            fault = programs.judge_verdict("", case, verdict, printed)
            codes |= {fault.code} if fault is not None else set()
    if finding.code == "not-deterministic":
        return Again(len(set(answers)) > 1, tuple(answers))
    is_fault = finding.code in codes or (finding.code == "fails-always" and bool(codes))
    return Again(is_fault, tuple(answers[:1]))


_CHECKS = {
    "outcome": _outcome,
    "differ": _differ,
    "repeat": _repeat,
    "time": _time,
    "memory": _memory,
    "chatter": _chatter,
    "same": _same,
    "engine": _engine,
}
