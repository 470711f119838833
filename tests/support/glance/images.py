"""The steps of an import, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from .http import Api, Reply

OCTETS = {"Content-Type": "application/octet-stream"}
POLLS = 2000
PAUSE = 0.2  # seconds between two polls of an image: Glance does not notify when a task ends


def create(api: Api, **attributes: Any) -> str:
    """Create a queued image, and return its id."""
    fields = {"name": "test", "disk_format": "raw", "container_format": "bare", **attributes}
    image: str = api.must("POST", "/v2/images", fields)["id"]
    return image


def put(api: Api, image: str, action: str, body: bytes | Iterable[bytes], *, chunked: bool = False) -> Reply:
    """PUT to `stage` or `file`, with Content-Length or in chunks."""
    return api.request("PUT", f"/v2/images/{image}/{action}", body, headers=OCTETS, chunked=chunked)


def start_import(api: Api, image: str, method: str = "glance-direct", **options: Any) -> Reply:
    """POST /import. `options`: stores, all_stores, all_stores_must_succeed; `uri` for web-download."""
    request: dict[str, Any] = {"method": {"name": method}}
    if "uri" in options:
        request["method"]["uri"] = options.pop("uri")
    return api.json("POST", f"/v2/images/{image}/import", {**request, **options})


def settled(api: Api, image: str) -> str:
    """Wait until every task of the image has ended and released the image; return the image's status.

    Polls the tasks, as an image may be `queued` before and after. Raises AssertionError if it takes too long.
    """
    for _ in range(POLLS):
        tasks = api.must("GET", f"/v2/images/{image}/tasks")["tasks"]
        if tasks and all(task["status"] in ("success", "failure") for task in tasks):
            return _unlocked(api, image)
        time.sleep(PAUSE)
    raise AssertionError(f"image {image} does not settle: {tasks}")


def _unlocked(api: Api, image: str) -> str:
    """A task shows its end a moment before it releases the image; a task that broke off never does."""
    for _ in range(100):
        record = api.must("GET", f"/v2/images/{image}")
        if "os_glance_import_task" not in record:
            break
        time.sleep(PAUSE)
    status: str = record["status"]
    return status
