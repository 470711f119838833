"""`python tests/fuzz --mutants 200000 --seed 1`: mutants of real images through the examination of formats.

Each mutant is fed twice, cut in different ways; see tests/support/fuzzing/checks.py for what must hold. The n-th mutant
of a seed is the same everywhere: `--only N` makes that one again, and says how it came about. Failing inputs are
written to the folder named by --failures, with a text that says why. Exit code 0: nothing was found. 1: something.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import fuzz_paths  # noqa: F401  # for its effect, and before those that need it
from fuzz_worker import Failure, Totals, again, workers

from support.fuzzing.seeds import seeds

MAX_REPORTED = 25


def main() -> int:
    """Run as asked; see the module."""
    arguments = _arguments()
    if arguments.only is not None:
        return again(seeds(), arguments.seed, arguments.only, arguments.failures)
    began = time.monotonic()
    totals = Totals()
    reported_at = 0.0
    for part in workers(arguments.mutants, arguments.seed, arguments.first, arguments.workers, arguments.failures):
        totals.add(part)
        if time.monotonic() > reported_at + 10:
            reported_at = time.monotonic()
            seconds = reported_at - began
            print(
                f"{totals.mutants} mutants in {seconds:.0f} s, {totals.mutants / seconds:.0f} a second, "
                f"{len(totals.failures)} failures, most memory {totals.most_rss >> 20} MiB",
                file=sys.stderr,
                flush=True,
            )
    _report(totals, time.monotonic() - began, arguments.seed)
    return 1 if totals.failures or totals.mutants < arguments.mutants else 0


def _report(totals: Totals, seconds: float, seed: int) -> None:
    print(f"{totals.mutants} mutants of seed {seed} in {seconds:.0f} s: {totals.mutants / seconds:.0f} a second")
    print(
        f"fed {totals.fed / 1e9:.1f} GB; steps of readers: {totals.steps}, at most {totals.most_steps} for one mutant"
    )
    print(f"memory: at most {totals.most_rss >> 20} MiB a worker, {totals.most_traced >> 10} KiB for one examination")
    print("the slowest:")
    for took, number, story in totals.slowest:
        print(f"  {took * 1000:7.0f} ms  {number}: {story[:160]}")
    print("recognised: " + ", ".join(f"{name} {count}" for name, count in totals.names.most_common()))
    print("found: " + ", ".join(f"{code} {count}" for code, count in totals.codes.most_common()))
    kinds: Counter[str] = Counter(failure.kind for failure in totals.failures)
    print(f"failures: {len(totals.failures)}")
    for kind, count in kinds.most_common(MAX_REPORTED):
        first: Failure = min(
            (failure for failure in totals.failures if failure.kind == kind), key=lambda failure: failure.length
        )
        print(f"  {count} times {kind}\n    {first.number}, {first.length} bytes: {first.story[:200]}")
        print(f"    {first.why[:300]}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tests/fuzz", description=__doc__)
    parser.add_argument("--mutants", type=int, default=200_000, help="how many; default 200000")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; default 0")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant; default 0")
    parser.add_argument("--workers", type=int, default=2, help="processes; default 2")
    parser.add_argument("--only", type=int, metavar="N", help="make mutant N alone, and tell all about it")
    parser.add_argument("--failures", type=Path, default=Path("build/fuzz"), help="folder for failing inputs")
    arguments = parser.parse_args()
    arguments.failures.mkdir(parents=True, exist_ok=True)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
