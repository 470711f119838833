"""Imports that run: their progress, the plugin that holds them up, and their end from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.judged import upload_in_background, write_config
from support.serve import Serve, serving
from support.waiting import until

IMAGE = bytes(64 << 20)
"""The plugin takes half a minute for it."""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with serving(tmp_path / "home", write_config(tmp_path, seconds=0.5)) as started:
        yield started


def progress_of(serve: Serve, image_id: str) -> dict[str, Any]:
    tasks = serve.tasks(image_id)
    return (tasks[0].get("progress") or {}) if tasks else {}


def test_the_task_has_bytes_and_per_cent_and_names_the_plugin_that_the_import_waits_for(serve: Serve) -> None:
    image_id = serve.create()
    thread, _ = upload_in_background(serve, image_id, IMAGE)
    until("a plugin is named", lambda: progress_of(serve, image_id).get("waits_for"))
    (task,) = serve.tasks(image_id)
    progress = task["progress"]
    assert (progress["waits_for"], progress["total"]) == ("judge", len(IMAGE))
    assert 0 < progress["bytes"] <= len(IMAGE)
    assert progress["percent"] == progress["bytes"] * 100 // len(IMAGE)
    assert task["result"] is None
    assert 'douane_imports_held_up{plugin="judge"} 1.0' in serve.client.get("/metrics").text
    serve.client.post(f"/v2/images/{image_id}/actions/cancel_import")
    thread.join()
    assert "progress" not in serve.tasks(image_id)[0]
    assert 'douane_imports_held_up{plugin="judge"}' not in serve.client.get("/metrics").text


@pytest.mark.parametrize(("end", "answer"), [("cancel", 409), ("delete", 410)])
def test_an_upload_whose_import_is_cancelled_or_whose_image_is_deleted_ends(
    serve: Serve, end: str, answer: int
) -> None:
    image_id = serve.create()
    thread, statuses = upload_in_background(serve, image_id, IMAGE)
    until("a worker runs it", lambda: progress_of(serve, image_id).get("bytes"))
    if end == "cancel":
        assert serve.client.post(f"/v2/images/{image_id}/actions/cancel_import").status_code == 204
        assert serve.image(image_id)["status"] == "queued"
    else:
        assert serve.client.delete(f"/v2/images/{image_id}").status_code == 204
        assert serve.client.get(f"/v2/images/{image_id}").status_code == 404
    thread.join()
    assert statuses == [answer]
    until("its bytes are gone", lambda: not list((serve.home.parent / "store-a" / "staging").iterdir()))
