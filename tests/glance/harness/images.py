"""The steps of an import, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from .http import Api, Reply

OCTETS = {"Content-Type": "application/octet-stream"}
POLLS = 600
PAUSE = 0.2  # seconds between two looks at an image: Glance tells nobody when a task ends


def create(api: Api, **wanted: Any) -> str:
    """A new image, queued; its id."""
    asked = {"name": "test", "disk_format": "raw", "container_format": "bare", **wanted}
    image: str = api.must("POST", "/v2/images", asked)["id"]
    return image


def put(api: Api, image: str, door: str, body: bytes | Iterable[bytes], *, chunked: bool = False) -> Reply:
    """PUT to `stage` or `file`, with Content-Length or in chunks."""
    return api.request("PUT", f"/v2/images/{image}/{door}", body, headers=OCTETS, chunked=chunked)


def start_import(api: Api, image: str, method: str = "glance-direct", **more: Any) -> Reply:
    """POST /import. `more`: stores, all_stores, all_stores_must_succeed; `uri` for web-download."""
    what: dict[str, Any] = {"method": {"name": method}}
    if "uri" in more:
        what["method"]["uri"] = more.pop("uri")
    return api.json("POST", f"/v2/images/{image}/import", {**what, **more})


def settled(api: Api, image: str) -> str:
    """Wait until every task of the image has ended, and holds it no more; the image's status then.

    Raises AssertionError if that takes too long. Asked is for the tasks: an image may be `queued` before and after.
    """
    for _ in range(POLLS):
        tasks = api.must("GET", f"/v2/images/{image}/tasks")["tasks"]
        if tasks and all(task["status"] in ("success", "failure") for task in tasks):
            return _unlocked(api, image)
        time.sleep(PAUSE)
    raise AssertionError(f"image {image} does not come to rest: {tasks}")


def _unlocked(api: Api, image: str) -> str:
    """A task shows its end a moment before it gives the image free; one that broke off never does."""
    for _ in range(20):
        shown = api.must("GET", f"/v2/images/{image}")
        if "os_glance_import_task" not in shown:
            break
        time.sleep(PAUSE)
    status: str = shown["status"]
    return status
