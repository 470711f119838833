"""`python -m bench`: measure, and print one table. Exit code 0 if every bound holds, 1 if not, 2 if it cannot run."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from douane.engine import DouaneError

from . import (
    bytes_to_disk,
    early_refusal,
    engine_memory,
    examination_speed,
    further_inspectors,
    glance_upload,
    gzip_decompression,
    import_against_tee,
    kill_engine,
    plugin_start,
    qcow2_to_raw,
    table,
)
from .driving import WrongOutcome
from .harness import GiB, Row, Settings, tell
from .workspace import NoSpace, workspace

MEASUREMENTS: dict[str, Callable[[Settings], list[Row]]] = {
    "import": import_against_tee.measure,
    "inspectors": further_inspectors.measure,
    "memory": engine_memory.measure,
    "refusal": early_refusal.measure,
    "start": plugin_start.measure,
    "formats": examination_speed.measure,
    "gzip": gzip_decompression.measure,
    "qcow2": qcow2_to_raw.measure,
    "written": bytes_to_disk.measure,
    "kill": kill_engine.measure,
}
ONLY_WHEN_NAMED: dict[str, Callable[[Settings], list[Row]]] = {"glance": glance_upload.measure}
"""What needs more than `make bench` makes."""
NEEDED = 10 * GiB
NEEDED_QUICK = 1 * GiB
"""An image and one copy of it at a time, and the image of the next measurement."""


def main() -> int:
    """Run what was asked for; see the module."""
    asked = _arguments()
    rows: list[Row] = []
    try:
        with workspace(NEEDED_QUICK if asked.quick else NEEDED, asked.dir) as directory:
            facts = table.machine(directory)
            loads = []
            settings = Settings(directory, asked.quick, asked.sandbox, asked.rounds, asked.seed)
            began = time.monotonic()
            for name in asked.only or MEASUREMENTS:
                before = table.load()
                tell(f"{name} (load average {before})")
                rows += (MEASUREMENTS | ONLY_WHEN_NAMED)[name](settings)
                loads.append(f"{name} {before} to {table.load()}")
            facts["took"] = f"{time.monotonic() - began:.0f} s"
            # The measurements themselves keep about two processes busy, the last one less than one.
            facts["load average of the last minute"] = ", ".join(loads)
    except (NoSpace, WrongOutcome, DouaneError) as error:
        tell(f"bench: {error}")
        return 2
    except KeyboardInterrupt:
        tell("bench: interrupted; nothing is left of it")
        return 130
    facts |= {"sandbox": asked.sandbox or "the best there is", "seed": str(asked.seed)}
    _print(rows, facts, asked)
    return 1 if any(row.holds(quick=asked.quick) is False for row in rows) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    known = f"{', '.join(MEASUREMENTS)}; when named: {', '.join(ONLY_WHEN_NAMED)}"
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"measure only these: {known}")
    parser.add_argument("--quick", action="store_true", help="small images, few rounds; times are told, not judged")
    parser.add_argument("--sandbox", choices=("full", "strict", "off"), help="the tier; default: the best there is")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each measurement, instead of its own number")
    parser.add_argument("--seed", type=int, default=0, help="of the random instants; default 0")
    parser.add_argument("--dir", type=Path, help="work here: a directory on a disk with 11 GiB free (--quick: 2 GiB)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all samples to FILE")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    asked = parser.parse_args()
    for name in asked.only:
        if name not in MEASUREMENTS | ONLY_WHEN_NAMED:
            parser.error(f"there is no measurement {name!r}; there are {known}")
    if asked.rounds is not None and asked.rounds < 1:
        parser.error("--rounds is at least 1")
    return asked


def _print(rows: list[Row], facts: dict[str, str], asked: argparse.Namespace) -> None:
    lines = [table.cells(row, quick=asked.quick) for row in rows]
    for key, value in facts.items():
        print(f"{'- ' if asked.markdown else ''}{key}: {value}")
    print()
    print((table.as_markdown if asked.markdown else table.as_text)(lines))
    notes = [f"{row.what}: {row.note}" for row in rows if row.note]
    if notes:
        print()
        print("\n".join(f"- {note}" for note in notes))
    if asked.json is not None:
        told = [table.as_json(row, quick=asked.quick) for row in rows]
        asked.json.write_text(json.dumps({"machine": facts, "quick": asked.quick, "rows": told}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
