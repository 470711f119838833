"""The same image once more: later, in another process, on another day, after other images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from .cases import Case, Outcome
from .driver_process import Runner
from .findings import Finding, show_image

ALONE = 20
TIMES = 24
WORLDS = (
    {"clock": 7 * 3600 + 13 * 60 + 1, "dice": "low"},
    {"clock": 3 * 86400 + 5 * 3600 + 37, "dice": "high"},
    {"clock": 86400.5, "dice": ""},
)


class Repeat:
    """Compares the answers to a few chosen cases."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.ran = 0

    def check(self, cases: Sequence[Case]) -> Finding | None:
        """The first case with two answers; it is told whether what came before it matters, or nothing that shows."""
        chosen = [dataclasses.replace(case, trace=False, sample=False) for case in cases[:ALONE]]
        reference = [self._alone(case) for case in chosen]
        rounds = [("alone in a process", reference)]
        self._runner.fresh({})
        rounds.append(("after other images", self._run(chosen)))
        backwards = self._run(chosen[::-1])[::-1]
        rounds.append(("after other images", backwards))
        for number, case in enumerate(chosen[:6]):
            for outcome in self._run([case] * TIMES):
                if found := self._differ(case, "alone in a process", reference[number], "again and again", outcome):
                    return found
        for how, outcomes in rounds[1:]:
            for case, one, other in zip(chosen, reference, outcomes, strict=True):
                if found := self._differ(case, "alone in a process", one, how, other):
                    return found
        for world in WORLDS:
            self._runner.fresh(world)
            outcomes = self._run(chosen)
            how = "at another time, with other random numbers"
            for case, one, other in zip(chosen, reference, outcomes, strict=True):
                if not _same(one, other):
                    self._runner.fresh({})
                    return self._finding("not-deterministic", case, "now", one, how, other)
        self._runner.fresh({})
        return None

    def _run(self, cases: Sequence[Case]) -> list[Outcome]:
        self.ran += len(cases)
        return self._runner.run(cases)

    def _alone(self, case: Case) -> Outcome:
        self._runner.fresh({})
        return self._run([case])[0]

    def _differ(self, case: Case, how: str, one: Outcome, otherwise: str, other: Outcome) -> Finding | None:
        if _same(one, other):
            return None
        again = [self._alone(case) for _ in range(6)]
        steady = all(_same(one, each) for each in again)
        if not steady:
            other = next(each for each in again if not _same(one, each))
            return self._finding("not-deterministic", case, "once", one, "once more", other)
        if otherwise == "again and again":
            # What a class keeps changes the answers in the same way in every process; chance does not.
            twice = []
            for _ in range(2):
                self._runner.fresh({})
                twice.append([each.answer for each in self._run([case] * TIMES)])
            code = "keeps-state" if twice[0] == twice[1] else "not-deterministic"
        else:
            code = "keeps-state"
        return self._finding(code, case, how, one, otherwise, other)

    def _finding(self, code: str, case: Case, how: str, one: Outcome, otherwise: str, other: Outcome) -> Finding:
        what = {
            "keeps-state": "the answer depends on the images that the same process has seen before",
            "not-deterministic": "the same image gets two answers",
        }[code]
        return Finding(code, what, show_image(case), (f"{how}: {one.describe()}", f"{otherwise}: {other.describe()}"))


def _same(one: Outcome, other: Outcome) -> bool:
    """Whether both are one answer. "Not now" is allowed to end, and what hangs is judged elsewhere."""
    apart = ("deferred", "hangs", "died")
    return one.answer == other.answer or one.kind in apart or other.kind in apart
