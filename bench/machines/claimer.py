"""A process that claims tasks for a while.

    python -m bench.machines.claimer URL NAME SECONDS

claims one task, for which it connects and its statements are compiled, says that it is ready, begins with a line on its
standard input, and prints the number of its claims from then on.
"""

from __future__ import annotations

import sys
import time

from douane.catalog import Catalog


def claim(url: str, name: str, seconds: float) -> None:
    """See the module."""
    with Catalog(url, is_checked=True) as catalog:
        catalog.join(name, host="bench", pid=1, version="1")
        catalog.claim(name)
        print("ready", flush=True)
        sys.stdin.readline()
        end = time.monotonic() + seconds
        count = 0
        while time.monotonic() < end and catalog.claim(name) is not None:
            count += 1
    print(count)


if __name__ == "__main__":
    claim(sys.argv[1], sys.argv[2], float(sys.argv[3]))
