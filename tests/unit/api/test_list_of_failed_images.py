"""The list of images asks the catalog the same number of questions, however many images failed or are imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from douane.catalog import ImportRequest
from support.api import Api


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    opened = Api(tmp_path)
    yield opened
    opened.close()


@contextmanager
def statements() -> Iterator[list[str]]:
    seen: list[str] = []

    def count(_c: Any, _cursor: Any, statement: str, _p: Any, _x: Any, _many: bool) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", count)


def make(api: Api, outcome: str | None, *, stage: bool = False) -> str:
    """An image whose last import ended with `outcome`, or runs; or whose bytes are just staged."""
    image = api.catalog.create_image(name="n", owner="p1", disk_format="raw", container_format="bare")
    for last in ("undecided", outcome):  # the task before must not count
        if stage and last is None:
            request = ImportRequest(owner="p1")
            api.catalog.begin_upload(image.id, method="glance-direct", plan={}, worker="door", request=request)
            continue
        task = api.catalog.begin_import(image.id, method="upload", plan={}, on_failure="requeue")
        if last is not None:
            api.catalog.fail(task, outcome=last, code="bad", message="it is bad")
    return image.id


def documents(api: Api) -> dict[str, dict[str, Any]]:
    return {each["id"]: each for each in api.request("GET", "/v2/images?limit=1000").json()["images"]}


def test_a_page_costs_as_many_statements_with_many_failed_images_as_with_few(api: Api) -> None:
    counts = []
    for more in (3, 30):
        for n in range(more):
            make(api, ("refused", "undecided", None)[n % 3])
        with statements() as seen:
            assert documents(api)
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_every_image_of_a_page_shows_its_own_last_task(api: Api) -> None:
    ids = {each: make(api, each) for each in ("refused", "undecided", "cancelled")}
    running, staging = make(api, None), make(api, None, stage=True)
    fresh = api.catalog.create_image(name="n", owner="p1").id
    shown = documents(api)
    for outcome, image_id in ids.items():
        assert shown[image_id]["douane_outcome"] == ("refused" if outcome == "refused" else "undecided")
        assert "os_glance_import_task" not in shown[image_id]
    assert shown[running]["os_glance_import_task"] == api.catalog.image(running).task_id
    for image_id in (running, staging, fresh):
        assert "douane_outcome" not in shown[image_id]
    assert "os_glance_import_task" not in shown[staging]
    for image_id, document in shown.items():
        assert api.request("GET", f"/v2/images/{image_id}").json() == document
