"""`python -m bench.guest_matrix`: douane-guest on images of the real tools, cell by cell; see docs/guest-formats.md.

Exit code 0 if no cell differs silently and none that must be equal is reported, 1 if one does, 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from . import table
from .run import PARTS, Result, Settings, run_matrix

STORED = Path(__file__).with_name("result.tsv")
PAGE = Path("docs/guest-formats.md")
ALONE = "DOUANE_GUEST_MATRIX_ALONE"


def main() -> int:
    """See the module."""
    options = _arguments()
    _leave_mounts_to_others()
    if options.page:
        PAGE.write_text(table.in_page(PAGE.read_text(), table.from_tsv(STORED.read_text())))
        return 0
    settings = Settings(
        options.only, options.parts or PARTS, options.fixed, options.small, options.workers, options.repetitions
    )
    with tempfile.TemporaryDirectory(prefix="douane-guest-matrix-", dir=options.folder) as folder:
        results = run_matrix(Path(folder), settings, None if options.quiet else _print)
    print(table.as_markdown(results) if options.markdown else table.as_text(results))
    for result in results:
        if result.is_fault:
            print(table.fault(result))
    if options.tsv is not None:
        options.tsv.write_text(table.as_tsv(results))
    return 1 if any(result.is_fault for result in results) else 0


def _print(result: Result) -> None:
    print(f"{result.outcome.status:9} {result.part}: {result.name}", file=sys.stderr, flush=True)


def _leave_mounts_to_others() -> None:
    """Start again with mounts of its own. A sandbox that another process starts would get a copy of each mount and keep
    a file system mounted that is unmounted here, so that it would not be written to its image."""
    if os.geteuid() or ALONE in os.environ or shutil.which("unshare") is None:
        return
    words = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "bench.guest_matrix"]
    os.execvpe(words[0], [*words, *sys.argv[1:]], {**os.environ, ALONE: "1"})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.guest_matrix", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="only cells whose name contains TEXT")
    parser.add_argument("--part", dest="parts", action="append", choices=PARTS, help="only this part; repeatable")
    parser.add_argument("--fixed", action="store_true", help="the small part that make test runs, with a small tree")
    parser.add_argument("--small", action="store_true", help="all cells, with a tree of a tenth of the size")
    parser.add_argument("--repetitions", type=int, default=3, help="images of each unclean case; %(default)s")
    parser.add_argument("--workers", type=int, default=2, help="%(default)s")
    parser.add_argument("--folder", type=Path, help="where images are built; by default a temporary one")
    parser.add_argument("--tsv", type=Path, metavar="FILE", help="also write a line for each cell to FILE")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument("--page", action="store_true", help=f"write the stored result into {PAGE}, and do nothing else")
    parser.add_argument("--quiet", action="store_true", help="print no line for each cell")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
