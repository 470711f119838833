"""`python -m bench.formats`: Douane, oslo.utils and qemu-img on labelled images, side by side.

Exit code 0 if Douane keeps its thresholds, 1 if it misses one, 2 if there are no images.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from . import table
from .corpus import Labelled, NoCorpus, labelled
from .judging import judge
from .tools import TOOLS, Answer

MAX_MEMORY = 6 << 30
"""Address space of a worker: a header must not make a tool take all memory of the machine."""


def main() -> int:
    """Run the comparison; see the module."""
    options = _arguments()
    try:
        with labelled(options.corpus, options.unpacked) as labels:
            chosen = [label for label in labels if options.only in f"{label.set}/{label.file}"]
            with ProcessPoolExecutor(2, initializer=_bound) as pool:
                answers = list(pool.map(_ask, chosen, chunksize=4))
    except NoCorpus as error:
        print(f"formats: {error}", file=sys.stderr)
        return 2
    result = judge(chosen, answers)
    lines = table.rows(result)
    print((table.as_markdown if options.markdown else table.as_text)(lines))
    print("".join(f"\n- {line}" for line in table.foot(result)))
    if not options.brief:
        order = sorted(result.disagreements, key=lambda entry: (not entry.faults, entry.label.set, entry.label.file))
        for entry in order:
            print(table.disagreement_text(entry))
    if options.json is not None:
        options.json.write_text(json.dumps(table.as_json(result), indent=1) + "\n")
    return 1 if result.missed() else 0


def _bound() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))


def _ask(label: Labelled) -> Mapping[str, Answer]:
    return {name: tool(label.path) for name, tool in TOOLS.items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.formats", description=__doc__)
    usual = Path(os.environ.get("DOUANE_CORPUS") or "../shared/images")
    parser.add_argument("--corpus", type=Path, default=usual, help="folder of manifests and archives; %(default)s")
    parser.add_argument("--unpacked", type=Path, help="folder with the unpacked archives, one folder each")
    parser.add_argument("--only", default="", metavar="TEXT", help="only images whose set/file contains TEXT")
    parser.add_argument("--brief", action="store_true", help="print the table without the disagreements")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything to FILE")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
