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
from fuzz_worker import Failure, Found, again, workers

from support.fuzzing.seeds import seeds

MOST_TOLD = 25


def main() -> int:
    """Run as asked; see the module."""
    asked = _arguments()
    if asked.only is not None:
        return again(seeds(), asked.seed, asked.only, asked.failures)
    began = time.monotonic()
    found = Found()
    told = 0.0
    for part in workers(asked.mutants, asked.seed, asked.first, asked.workers, asked.failures):
        found.add(part)
        if time.monotonic() > told + 10:
            told = time.monotonic()
            seconds = told - began
            print(
                f"{found.mutants} mutants in {seconds:.0f} s, {found.mutants / seconds:.0f} a second, "
                f"{len(found.failures)} failures, most memory {found.most_rss >> 20} MiB",
                file=sys.stderr,
                flush=True,
            )
    _report(found, time.monotonic() - began, asked.seed)
    return 1 if found.failures or found.mutants < asked.mutants else 0


def _report(found: Found, seconds: float, seed: int) -> None:
    print(f"{found.mutants} mutants of seed {seed} in {seconds:.0f} s: {found.mutants / seconds:.0f} a second")
    print(f"fed {found.fed / 1e9:.1f} GB; steps of readers: {found.steps}, at most {found.most_steps} for one mutant")
    print(f"memory: at most {found.most_rss >> 20} MiB a worker, {found.most_traced >> 10} KiB for one examination")
    print("the slowest:")
    for took, number, story in found.slowest:
        print(f"  {took * 1000:7.0f} ms  {number}: {story[:160]}")
    print("recognised: " + ", ".join(f"{name} {count}" for name, count in found.names.most_common()))
    print("found: " + ", ".join(f"{code} {count}" for code, count in found.codes.most_common()))
    kinds: Counter[str] = Counter(failure.kind for failure in found.failures)
    print(f"failures: {len(found.failures)}")
    for kind, count in kinds.most_common(MOST_TOLD):
        first: Failure = min((one for one in found.failures if one.kind == kind), key=lambda one: one.length)
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
    asked = parser.parse_args()
    asked.failures.mkdir(parents=True, exist_ok=True)
    return asked


if __name__ == "__main__":
    sys.exit(main())
