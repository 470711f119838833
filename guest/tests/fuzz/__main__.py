"""`python guest/tests/fuzz --count 1000000 --seed 1`: mutants of disks through all that a guest's user reads of them.

Each mutant is opened; its system, its packages and every object with its digest are read. It must neither crash nor
raise anything but the three exceptions, take at most a second of a processor, and 64 MiB of memory. The n-th mutant of
a seed is the same everywhere: `--first` goes on where a run was ended, `--only N` makes that one again, writes its
disk to the folder of --failures, and says how it came about. Exit code 0: no failure. 1: some.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import guest_fuzz_paths  # noqa: F401  # for its effect, and before those that need it
from guest_fuzz_changes import Mutator
from guest_fuzz_images import makers
from guest_fuzz_worker import Totals, examine, workers

MAX_REPORTED = 40


def main() -> int:
    """Run as asked; see the module."""
    options = _options()
    mutator = Mutator({name: make() for name, make in makers().items()}, options.seed)
    if options.only is not None:
        return _again(mutator, options)
    mutator.record()
    totals, began, reported = Totals(), time.monotonic(), 0.0
    for part in workers(mutator, options.first, options.count, options.workers, options.failures):
        totals.add(part)
        if time.monotonic() > reported + 30:
            reported = time.monotonic()
            print(_progress(totals, reported - began, options.first), file=sys.stderr, flush=True)
    _report(totals, time.monotonic() - began, options)
    return 1 if totals.failures else 0


def _progress(totals: Totals, seconds: float, first: int) -> str:
    rate = totals.mutants / max(seconds, 0.001)
    slowest = totals.slowest[0][0] if totals.slowest else 0
    return (
        f"{totals.mutants} mutants, up to {first + totals.mutants}, {rate:.0f} a second, "
        f"{len(totals.failures)} failures, at most {slowest:.2f} s and {totals.max_memory >> 20} MiB"
    )


def _report(totals: Totals, seconds: float, options: argparse.Namespace) -> None:
    print(f"seed {options.seed}: {_progress(totals, seconds, options.first)}")
    print(f"{totals.entries} objects; {totals.clean} mutants without a part that is unread")
    print("unread: " + ", ".join(f"{code} {count}" for code, count in totals.codes.most_common()))
    for took, number, story in totals.slowest:
        print(f"  {took:6.2f} s  {number}: {story[:160]}")
    for kind, count in Counter(failure.kind for failure in totals.failures).most_common(MAX_REPORTED):
        first = next(failure for failure in totals.failures if failure.kind == kind)
        print(f"{count} times {kind}\n  {first.number}: {first.story[:300]}\n  {first.why}")


def _again(mutator: Mutator, options: argparse.Namespace) -> int:
    mutant = mutator.make(options.only)
    path = options.failures / f"{options.seed}-{options.only}.img"
    path.write_bytes(mutant.image.bytes())
    print(f"{path}: {mutant.story}")
    totals = Totals()
    failure = examine(mutant, totals, 0)
    print(f"{totals.entries} objects, {totals.slowest[0][0]:.2f} s, unread: {dict(totals.codes)}")
    print(f"{failure.kind}: {failure.why}" if failure else "all holds")
    return 1 if failure else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python guest/tests/fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="how many; default 1000000")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; default 0")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant; default 0")
    parser.add_argument("--workers", type=int, default=2, help="processes; default 2")
    parser.add_argument("--only", type=int, metavar="N", help="make mutant N alone, and tell all about it")
    parser.add_argument("--failures", type=Path, default=Path("build/fuzz-guest"), help="folder for what failed")
    options = parser.parse_args()
    options.failures.mkdir(parents=True, exist_ok=True)
    return options


if __name__ == "__main__":
    sys.exit(main())
