"""Measure how processor time, memory and chatter grow with the image: time in proportion, memory not at all."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from .cases import Outcome, Trial
from .families import Families, Family
from .findings import Finding
from .measurement import CASE_SECONDS, KiB, Measurement, MiB
from .memory import Memory
from .words import Words

STEEP = 3.2
"""Time that is in proportion to the image doubles with it; time that goes with its square takes 4 times as long."""

CONFIRMED_STEEP = 3.0
SURE_SECONDS = 0.3
CLOCK_SECONDS = 16.0
CHATTER_CHUNKS = 4096


class Growth:
    """Measures on larger and larger images of several families."""

    def __init__(self, measure: Measurement, words: Words, seed: int, effort: float) -> None:
        self._measure = measure
        described = measure.subject.described
        looks_into_guest = measure.subject.looks_into_guest
        self._families = Families(words, seed, is_transform=described.is_transform, looks_into_guest=looks_into_guest)
        self._effort = effort

    def check(self, corpus: Sequence[Trial]) -> list[Finding]:
        """Return at most one finding for time, one for memory and one for chatter."""
        families = list(self._families.of(corpus))
        slow = self._time(families)
        if slow is not None:
            self._measure.notes.append("memory was not measured: the plugin is too slow for large images")
            findings = [slow, self._chatter(families[0])]
        else:
            findings = [Memory(self._measure, self._effort).check(families), self._chatter(families[0])]
        return [finding for finding in findings if finding is not None]

    # time

    def _time(self, families: Sequence[Family]) -> Finding | None:
        until = self._measure.runner.spent + CLOCK_SECONDS * self._effort
        for index, family in enumerate(families):
            if self._measure.runner.spent > until:
                self._measure.notes.append(f"time was measured for {index} of {len(families)} kinds of images")
                return None
            if finding := self._time_of(family, 64 * MiB if index == 0 else 4 * MiB, until):
                return finding
        return None

    def _time_of(self, family: Family, largest: int, until: float) -> Finding | None:
        seconds: dict[int, float] = {}
        size = 16 * KiB
        while size <= largest and self._measure.fitting(size) and self._measure.runner.spent < until:
            outcome = self._measure.run(family, size)
            if outcome.kind == "hangs":
                return self._hanging(family, size, seconds.get(size // 2, 0.0), outcome)
            reads_on = outcome.bytes_seen >= size // 2 or self._measure.subject.reads_file
            if outcome.kind == "died" or (size >= MiB and not reads_on):
                return None
            seconds[size] = outcome.cpu
            if seconds[size] > SURE_SECONDS:
                for smaller in (size // 2, size // 4):
                    if smaller not in seconds:
                        seconds[smaller] = self._measure.run(family, smaller).cpu
                is_steep = seconds[size] > STEEP * seconds[size // 2] > STEEP * 2.5 * seconds[size // 4]
                return self._confirmed(family, size, seconds[size]) if is_steep else None
            size *= 2 if size < MiB or seconds[size] > 0.01 else 4
        return None

    def _hanging(self, family: Family, size: int, half_seconds: float, outcome: Outcome) -> Finding | None:
        if half_seconds * STEEP * 2 >= CASE_SECONDS or self._measure.run(family, size).kind != "hangs":
            return None
        text = f"{half_seconds:.3g} s for {size // 2} bytes, no answer within {CASE_SECONDS:g} s for {size} bytes"
        return self._slow(family, size, text, outcome)

    def _confirmed(self, family: Family, size: int, seconds: float) -> Finding | None:
        """Measure again in a new process: the least of three runs for each size, and larger sizes once."""
        self._measure.runner.restart()
        sizes = [size // 4, size // 2, size]
        while sizes[-1] < 128 * MiB and seconds * 4 ** (len(sizes) - 2) < CASE_SECONDS / 2:
            if not self._measure.fitting(sizes[-1] * 2):
                break
            sizes.append(sizes[-1] * 2)
        fastest: list[float] = []
        for measured in sizes:
            runs = [self._measure.run(family, measured) for _ in range(3 if measured <= size else 1)]
            answered = [run.cpu for run in runs if run.kind in ("accepted", "refused", "incomplete")]
            if not answered:
                break
            fastest.append(min(answered))
        ratios = [larger / max(smaller, 1e-6) for smaller, larger in itertools.pairwise(fastest)]
        if len(ratios) < 2 or min(ratios[-2:]) < CONFIRMED_STEEP:
            return None
        times = ", ".join(f"{cpu:.3g} s for {measured} bytes" for measured, cpu in zip(sizes, fastest, strict=False))
        return self._slow(family, sizes[-1], f"processor time: {times}", runs[-1])

    def _slow(self, family: Family, size: int, text: str, outcome: Outcome) -> Finding:
        text = f"its time grows faster than the image ({text})"
        cases = self._measure.cases_of(family, size)
        return Finding("slow-growth", text, self._measure.image(family, size), (outcome.describe(),), "", "time", cases)

    # chatter

    def _chatter(self, family: Family) -> Finding | None:
        size = CHATTER_CHUNKS * 256
        if not self._measure.fitting(size):
            return None
        outcome = self._measure.run(family, size, cuts=256)
        amount = outcome.printed + outcome.logged
        if not is_chatter(outcome):
            return None
        text = f"it prints and logs {amount} bytes for an image of {outcome.chunks} chunks, so some for each chunk"
        return Finding(
            "floods",
            text,
            {**self._measure.image(family, size), "cuts": "chunks of 256 bytes"},
            (outcome.describe(),),
            "",
            "chatter",
            self._measure.cases_of(family, size, cuts=256),
        )


def is_chatter(outcome: Outcome) -> bool:
    """Return True if the plugin prints and logs some bytes for each chunk."""
    return outcome.chunks >= 1000 and outcome.printed + outcome.logged >= 8 * outcome.chunks
