"""Imports that arrive at random: what a door writes for an upload that is kept in a file until a worker is free.

    python -m bench.machines.large_site.arrivals URL RATE

queues RATE imports a second until its standard input ends, and prints what it measured as JSON.
"""

from __future__ import annotations

import json
import random
import select
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from douane.catalog import Catalog, ImportRequest

THREADS = 8
PLAN = {"plugins": [{"name": "format", "digest": "00"}]}


def queue(catalog: Catalog) -> None:
    """Four transactions: the image, its upload, the end of the upload, and a look at the result later."""
    image = catalog.create_image(name=str(time.monotonic()), disk_format="qcow2", container_format="bare", owner="p")
    request = ImportRequest(stores=("file",))
    task = catalog.begin_upload(image.id, method="upload", plan=PLAN, worker="door", total=2 << 30, request=request)
    catalog.release(task, source={"spool": task.staged_key, "store": "file"})
    catalog.image(image.id)


def main(url: str, rate: float) -> None:
    """See the module."""
    chance = random.Random(0)
    count = late = 0
    with Catalog(url, is_checked=True) as catalog, ThreadPoolExecutor(THREADS) as pool:
        at = start = time.monotonic()
        pending = []
        while True:
            at += chance.expovariate(rate)
            if select.select([sys.stdin], [], [], max(at - time.monotonic(), 0))[0]:
                break
            late += time.monotonic() - at > 1
            pending.append(pool.submit(queue, catalog))
            count += 1
        seconds = time.monotonic() - start
        unfinished = sum(not each.done() for each in pending)
        pool.shutdown(cancel_futures=True)
    json.dump({"count": count - unfinished, "seconds": seconds, "unfinished": unfinished, "late": late}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
