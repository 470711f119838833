"""What all measurements share: rounds in turn, medians, and a row of the table."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MiB = 1 << 20
GiB = 1 << 30


@dataclass(frozen=True)
class Settings:
    """How this run measures. `tier` None is the best that the machine gives."""

    directory: Path
    quick: bool = False
    tier: str | None = None
    rounds: int | None = None
    seed: int = 0

    def size(self, full: int, quick: int) -> int:
        """A number of bytes, or of rounds, for a full run and for a quick one."""
        return quick if self.quick else full

    def times(self, full: int, quick: int = 1) -> int:
        """Rounds of one measurement: what was asked for, or its own number."""
        return self.rounds if self.rounds is not None else self.size(full, quick)


@dataclass(frozen=True)
class Row:
    """One line of the table: `ours` against `against`, both in `unit`, and the bounds of their ratio.

    Without bounds it is told for the reader. `timed`: it is a time, which says nothing about the images of a
    quick run, so there it is not judged.
    """

    what: str
    ours: float
    against: float
    against_what: str
    unit: str
    most: float | None = None
    least: float | None = None
    timed: bool = True
    note: str = ""
    samples: Mapping[str, list[float]] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """`ours` / `against`."""
        return self.ours / self.against if self.against else float(self.ours != 0)

    def holds(self, *, quick: bool) -> bool | None:
        """True if the ratio is within its bounds; None if there is nothing to judge."""
        if (self.most is None and self.least is None) or (quick and self.timed):
            return None
        return (self.most is None or self.ratio <= self.most) and (self.least is None or self.ratio >= self.least)


def in_turn(rounds: int, runs: Mapping[str, Callable[[], float]], *, warm_up: bool = True) -> dict[str, list[float]]:
    """Run A, B, C, A, B, C, ... so that a change of the machine's mood meets them all; each one's samples.

    With `warm_up` there is one more round at the beginning that does not count: it fills the caches.
    """
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(-1 if warm_up else 0, rounds):
        for name, run in runs.items():
            tell(f"  {name}, {f'round {number + 1} of {rounds}' if number >= 0 else 'warming up'}")
            sample = run()
            if number >= 0:
                samples[name].append(sample)
    return samples


def medians(samples: Mapping[str, list[float]]) -> dict[str, float]:
    """The middle sample of each."""
    return {name: statistics.median(values) for name, values in samples.items()}


def timed(run: Callable[[], object]) -> float:
    """Seconds that `run` takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def tell(text: str) -> None:
    """A line about what goes on, on standard error; the table alone is on standard output."""
    print(text, file=sys.stderr, flush=True)
