"""A service with two stores and a plugin that refuses images which begin with "bad", and can be slow."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from .serve import Serve
from .waiting import until
from .workers import PLUGIN

OCTETS = {"Content-Type": "application/octet-stream"}


def write_config(folder: Path, serve: str = "", *, seconds: float = 0.0, ports: tuple[int, ...] = (80,)) -> Path:
    """The plan and the table [serve]; the plugin takes `seconds` for each chunk."""
    (folder / "judge.py").write_text(PLUGIN)
    config = folder / "douane.toml"
    config.write_text(
        f"""
[import]
digests = ["md5", "sha256"]

[[plugin]]
name = "judge"
use = "{folder}/judge.py:Judge"
config = {{ seconds = {seconds} }}

[serve]
workers = 2
client_timeout = "5s"
grace = "60s"
{serve}

[serve.stores.a]
url = "file:{folder}/store-a"
default = true

[serve.stores.b]
url = "file:{folder}/store-b"

[serve.web_download]
private = true
ports = {list(ports)}
"""
    )
    return config


def settled(serve: Serve, image_id: str) -> dict[str, Any]:
    """The document of the image when nothing works on it any more."""

    def look() -> dict[str, Any] | None:
        document = serve.image(image_id)
        busy = document["status"] in ("importing", "uploading") or document["os_glance_importing_to_stores"]
        return None if busy else document

    document = until("the image is settled", look)
    assert document is not None
    return document


def upload_in_background(
    serve: Serve, image_id: str, pieces: Any, door: str = "file"
) -> tuple[threading.Thread, list[int]]:
    """A thread that uploads `pieces`, and the list that will hold the status of the answer."""
    statuses: list[int] = []

    def upload() -> None:
        response = serve.client.put(f"/v2/images/{image_id}/{door}", content=pieces, headers=OCTETS)
        statuses.append(response.status_code)

    thread = threading.Thread(target=upload)
    thread.start()
    return thread, statuses
