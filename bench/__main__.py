"""`python -m bench`: measure, and print a table. Exit code 0 if every bound holds, 1 if not, 2 if it cannot run."""

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
    catalog_queries,
    early_refusal,
    engine_memory,
    examination_speed,
    further_inspectors,
    glance_upload,
    guest_view,
    gzip_decompression,
    import_against_tee,
    kill_engine,
    machines,
    plugin_start,
    qcow2_to_raw,
    rescan,
    reused_process,
    service,
    site_inspectors,
    start_up,
    table,
)
from .driving import WrongOutcome
from .harness import GiB, Row, Settings, progress
from .workspace import NoSpace, workspace

MEASUREMENTS: dict[str, Callable[[Settings], list[Row]]] = {
    "import": import_against_tee.measure,
    "inspectors": further_inspectors.measure,
    "memory": engine_memory.measure,
    "refusal": early_refusal.measure,
    "command": start_up.measure,
    "start": plugin_start.measure,
    "reuse": reused_process.measure,
    "formats": examination_speed.measure,
    "gzip": gzip_decompression.measure,
    "qcow2": qcow2_to_raw.measure,
    "written": bytes_to_disk.measure,
    "kill": kill_engine.measure,
    "catalog": catalog_queries.measure,
    "serve": service.measure,
}
ONLY_WHEN_NAMED: dict[str, Callable[[Settings], list[Row]]] = {
    "glance": glance_upload.measure,
    "catalog-postgresql": catalog_queries.measure_postgresql,
    "catalog-mariadb": catalog_queries.measure_mariadb,
    **service.PARTS,
    "machines": machines.measure,
    "rescan": rescan.measure,
    "guest": guest_view.measure,
    "inspectors-site": site_inspectors.measure,
    **machines.PARTS,
}
"""Measurements that need more than `make bench` installs, and the parts of `serve` and `machines`."""
NEEDED_BYTES = 10 * GiB
NEEDED_BYTES_QUICK = 1 * GiB
"""An image, one copy of it, and the image of the next measurement."""


def main() -> int:
    """Run the measurements; see the module."""
    options = _arguments()
    rows: list[Row] = []
    try:
        with workspace(NEEDED_BYTES_QUICK if options.quick else NEEDED_BYTES, options.dir) as directory:
            facts = table.machine(directory)
            loads = []
            settings = Settings(directory, options.quick, options.sandbox, options.rounds, options.seed)
            start = time.monotonic()
            for name in options.only or MEASUREMENTS:
                load_before = table.load()
                progress(f"{name} (load average {load_before})")
                rows += (MEASUREMENTS | ONLY_WHEN_NAMED)[name](settings)
                loads.append(f"{name} {load_before} to {table.load()}")
            facts["took"] = f"{time.monotonic() - start:.0f} s"
            # the measurements keep about two processes busy, the last measurement less than one
            facts["load average of the last minute"] = ", ".join(loads)
    except (NoSpace, WrongOutcome, DouaneError) as error:
        progress(f"bench: {error}")
        return 2
    except KeyboardInterrupt:
        progress("bench: interrupted; all files are removed")
        return 130
    facts |= {"sandbox": options.sandbox or "the best available", "seed": str(options.seed)}
    _print(rows, facts, options)
    return 1 if any(row.holds(quick=options.quick) is False for row in rows) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = f"{', '.join(MEASUREMENTS)}; when named: {', '.join(ONLY_WHEN_NAMED)}"
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"measure only these: {names}")
    parser.add_argument("--quick", action="store_true", help="small images, few rounds; times are printed, not judged")
    parser.add_argument("--sandbox", choices=("full", "strict", "off"), help="the tier; default: the best available")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each measurement, instead of its own number")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random instants; default 0")
    parser.add_argument("--dir", type=Path, help="working directory, on a disk with 11 GiB free (--quick: 2 GiB)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all samples to FILE")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args()
    for name in options.only:
        if name not in MEASUREMENTS | ONLY_WHEN_NAMED:
            parser.error(f"there is no measurement {name!r}; choose from {names}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def _print(rows: list[Row], facts: dict[str, str], options: argparse.Namespace) -> None:
    lines = [table.cells(row, quick=options.quick) for row in rows]
    for key, value in facts.items():
        print(f"{'- ' if options.markdown else ''}{key}: {value}")
    print()
    print((table.as_markdown if options.markdown else table.as_text)(lines))
    notes = [f"{row.what}: {row.note}" for row in rows if row.note]
    if notes:
        print()
        print("\n".join(f"- {note}" for note in notes))
    if options.json is not None:
        dicts = [table.as_json(row, quick=options.quick) for row in rows]
        options.json.write_text(json.dumps({"machine": facts, "quick": options.quick, "rows": dicts}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
