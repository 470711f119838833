"""What is left when the faults are over: the sweep, `douane fsck`, and empty stores after the last deletion."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

from bench.driving import WrongOutcome
from bench.service.kill_clients import SETTLE_SECONDS, Results
from douane.imports.service_stores import open_stores
from douane.imports.settings import load_settings
from douane.imports.settling import Settling

from .site import Site

PAUSE_SECONDS = 1.0


def account(site: Site, results: Results) -> None:
    """Add what is wrong to `results`; the images that are left are deleted then."""
    _wait_for_tasks(site, results)
    sweep(site)
    results.doubled += [f"douane fsck: {fault}" for fault in _check(site)]
    for image in results.remaining:
        _delete(site, image)
    sweep(site)
    results.doubled += [f"{name} belongs to no image" for name in _names_in_stores(site)]


def sweep(site: Site) -> None:
    """What idle workers do every minute, every ten minutes, and every six hours: now, and as often as it takes."""
    with site.doors[0].host.inside(), site.catalog() as catalog:
        stores = open_stores(load_settings(str(site.config), site.folder), catalog)
        settling = Settling(catalog, stores, "sweep")
        settling.delete_remnants()
        for place in stores:
            settling.delete_strays_in(place.id)
        settling.delete_copies_of_deleted()


def _wait_for_tasks(site: Site, results: Results) -> None:
    """Until no task is run or waits; those that clients have staged and never imported may stay."""
    end = time.monotonic() + SETTLE_SECONDS
    with site.catalog() as catalog:
        while True:
            busy = [
                task
                for task in catalog.all_tasks(limit=None, requested_only=False)
                if task.outcome is None and task.step != "staged"
            ]
            if not busy:
                return
            if time.monotonic() > end:
                results.stuck += [f"the task {task.id} stays at the step {task.step}" for task in busy]
                return
            time.sleep(PAUSE_SECONDS)


def _check(site: Site) -> list[dict[str, object]]:
    words = ["-m", "douane", "fsck", "--home", str(site.folder / "fsck"), "--config", str(site.config)]
    with site.doors[0].host.inside():
        ended = subprocess.run(
            [sys.executable, *words, "--digests", "--json"], capture_output=True, text=True, timeout=600, check=False
        )
    if ended.returncode not in (0, 1):
        raise WrongOutcome(f"`douane fsck` ends with {ended.returncode}: {ended.stderr[-2000:]}")
    faults: list[dict[str, object]] = json.loads(ended.stdout)["faults"]
    return faults


def _delete(site: Site, image: str) -> None:
    answer = site.request("DELETE", f"/v2/images/{image}")
    if answer.status != 204:
        raise WrongOutcome(f"DELETE of {image}: {answer.status} {answer.body!r:.300}")


def _names_in_stores(site: Site) -> list[str]:
    """What lies in the stores but for their identities."""
    names = [f"{name}/{path.name}" for name in ("images", "staging") for path in (site.shared / name).glob("*")]
    with site.objects_host.inside():
        listed = site.objects.ask("GET", f"/{site.bucket}", {"list-type": "2"}).decode()
    keys = re.findall("<Key>(.*?)</Key>", listed)
    return names + [key for key in keys if not key.endswith("/store-id")]
