"""The parts that all measurements share: rounds in turn, medians, and a row of the table."""

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
    """The settings of a run. `tier` None is the best that the machine offers."""

    directory: Path
    quick: bool = False
    tier: str | None = None
    rounds: int | None = None
    seed: int = 0

    def size(self, full: int, quick: int) -> int:
        """A number of bytes or rounds: `full`, or `quick` in a quick run."""
        return quick if self.quick else full

    def times(self, full: int, quick: int = 1) -> int:
        """Rounds of a measurement: those of the command line, or its own."""
        return self.rounds if self.rounds is not None else self.size(full, quick)


@dataclass(frozen=True)
class Row:
    """A row of the table: `ours` against `against`, both in `unit`, and the bounds of their ratio.

    A row without bounds is for information. A `timed` row is not judged in a quick run, whose small images say
    nothing about time.
    """

    what: str
    ours: float
    against: float
    against_what: str
    unit: str
    max_ratio: float | None = None
    min_ratio: float | None = None
    timed: bool = True
    note: str = ""
    samples: Mapping[str, list[float]] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """`ours` / `against`."""
        return self.ours / self.against if self.against else float(self.ours != 0)

    def holds(self, *, quick: bool) -> bool | None:
        """True if the ratio is within its bounds; None if there is nothing to judge."""
        if (self.max_ratio is None and self.min_ratio is None) or (quick and self.timed):
            return None
        below = self.max_ratio is None or self.ratio <= self.max_ratio
        return below and (self.min_ratio is None or self.ratio >= self.min_ratio)


def in_turn(rounds: int, runs: Mapping[str, Callable[[], float]], *, warm_up: bool = True) -> dict[str, list[float]]:
    """Run A, B, C, A, B, C, ... so that a change of the machine affects all of them; return the samples of each.

    With `warm_up` one more round precedes that does not count: it fills the caches.
    """
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(-1 if warm_up else 0, rounds):
        for name, run in runs.items():
            progress(f"  {name}, {f'round {number + 1} of {rounds}' if number >= 0 else 'warming up'}")
            sample = run()
            if number >= 0:
                samples[name].append(sample)
    return samples


def medians(samples: Mapping[str, list[float]]) -> dict[str, float]:
    """The median of each."""
    return {name: statistics.median(values) for name, values in samples.items()}


def timed(run: Callable[[], object]) -> float:
    """Seconds that `run` takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def progress(text: str) -> None:
    """Print a line about the progress on standard error; standard output has the table alone."""
    print(text, file=sys.stderr, flush=True)
