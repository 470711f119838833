"""`douane`, with a conformance suite that tries a third of the images: for tests of all but the images themselves.

`python quick_suite.py plugin test ...`; with DOUANE_TESTS=all, the suite of authors.
"""

from __future__ import annotations

import functools
import os

from douane.cli.main import run
from douane_kit import conformance

EFFORT = 0.35

if __name__ == "__main__":
    if os.environ.get("DOUANE_TESTS") != "all":
        conformance.examine = functools.partial(conformance.examine, effort=EFFORT)
    run()
