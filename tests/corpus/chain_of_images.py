"""Lets images through the chain of transforms, in a process of its own: so that what it needs can be measured.

Run as ``python chain_of_images.py PLAN PLAN < paths``; each line of the output is a report (JSON), in the order of the
paths, the last one the most memory that one of its cages had, in bytes. The second plan is for an appliance with
several disks. A process that is forked off counts with what its parent has (getrusage(2)), hence no pytest in here.
"""

from __future__ import annotations

import resource
import sys
from concurrent.futures import ThreadPoolExecutor

import msgspec

from douane import sandbox
from douane.declared import DeclaredImage
from douane.engine import Report, RunOptions, inspect_image, load_plan, open_source


def through(path: str) -> Report:
    """The report of the chain; of an appliance with several disks, of its first."""
    for plan in sys.argv[1:]:
        report = inspect_image(
            load_plan(plan), DeclaredImage(), open_source(path), options=RunOptions(tier=sandbox.Tier.STRICT)
        )
        if report.code != "ova-disks":
            break
    return report


def main() -> None:
    """See the module."""
    paths = sys.stdin.read().splitlines()
    with ThreadPoolExecutor(2) as pool:
        for report in pool.map(through, paths):
            sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
            sys.stdout.flush()
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10)


if __name__ == "__main__":
    main()
