"""Run the same images again: in another process, after other images, on another day."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from .cases import Case, Outcome
from .findings import Finding, show_image
from .runner import Runner

MAX_CASES = 12
TIMES = 24
CLOCKS = (7 * 3600 + 13 * 60 + 1.0, 3 * 86400 + 5 * 3600 + 37.0, 86400.5)
"""Shifts of the clock in seconds: another hour, another weekday, and another second."""


class Repeat:
    """Compares the answers to a few cases."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.count = 0

    def check(self, cases: Sequence[Case]) -> Finding | None:
        """Return a finding for the first case with two answers, or None."""
        finding = self._compare(cases)
        return finding and dataclasses.replace(finding, check="repeat", cases=lambda: tuple(cases[:MAX_CASES]))

    def _compare(self, cases: Sequence[Case]) -> Finding | None:
        chosen = [dataclasses.replace(case, trace=False) for case in cases[:MAX_CASES]]
        expected = [self._run_alone(case) for case in chosen]
        self._runner.restart()
        rounds = [(chosen, self._run(chosen)), (chosen[::-1], self._run(chosen[::-1]))]
        for index, case in enumerate(chosen[:6]):
            for outcome in self._run([case] * TIMES):
                if not _same(expected[index], outcome):
                    return self._changed(case, expected[index], "repeated", outcome)
        by_case = dict(zip(map(_key, chosen), expected, strict=True))
        for order, outcomes in rounds:
            for case, outcome in zip(order, outcomes, strict=True):
                if not _same(by_case[_key(case)], outcome):
                    return self._changed(case, by_case[_key(case)], "after other images", outcome)
        for clock in CLOCKS:
            self._runner.restart(clock)
            outcomes = self._run(chosen)
            for case, first, outcome in zip(chosen, expected, outcomes, strict=True):
                if not _same(first, outcome):
                    self._runner.restart()
                    return _finding("not-deterministic", case, ("now", first), ("at another time", outcome))
        self._runner.restart()
        return None

    def _run(self, cases: Sequence[Case]) -> list[Outcome]:
        self.count += len(cases)
        return self._runner.run(cases)

    def _run_alone(self, case: Case) -> Outcome:
        self._runner.restart()
        return self._run([case])[0]

    def _changed(self, case: Case, first: Outcome, how: str, outcome: Outcome) -> Finding:
        """Return the finding for an answer that has changed: is it state that the plugin keeps, or chance?"""
        for again in [self._run_alone(case) for _ in range(6)]:
            if not _same(first, again):
                return _finding("not-deterministic", case, ("once", first), ("again", again))
        code = "keeps-state"
        if how == "repeated":
            # State changes the answers in the same way in every process; chance does not.
            series = []
            for _ in range(2):
                self._runner.restart()
                series.append([again.answer for again in self._run([case] * TIMES)])
            code = "keeps-state" if series[0] == series[1] else "not-deterministic"
        return _finding(code, case, ("alone in a process", first), (how, outcome))


def _key(case: Case) -> tuple[object, ...]:
    return case.data, case.facts


def _finding(code: str, case: Case, *outcomes: tuple[str, Outcome]) -> Finding:
    text = {
        "keeps-state": "the answer depends on the images that the same process has seen before",
        "not-deterministic": "the same image gets two answers",
    }[code]
    return Finding(code, text, show_image(case), tuple(f"{how}: {outcome.describe()}" for how, outcome in outcomes))


def _same(first: Outcome, second: Outcome) -> bool:
    """True if both are one answer. A deferral may end, and a process that hangs is another fault."""
    skipped = ("deferred", "hangs", "died")
    return first.answer == second.answer or first.kind in skipped or second.kind in skipped
