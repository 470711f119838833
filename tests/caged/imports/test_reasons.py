"""Real failures of stores: a tenant reads a sentence without a path, and the operator the whole reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from douane.api.documents.records import image_document, task_document
from douane.catalog import Catalog
from support.waiting import until
from support.workers import MakeSite, Site, send

IMAGE = bytes(1 << 20)


def break_store(site: Site, name: str) -> None:
    """The store's folder is a file from now on."""
    folder = site.place / f"store-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("")


def ended(site: Site, task_id: str) -> Any:
    until("the task has ended", lambda: site.catalog.task(task_id).outcome is not None)
    return site.catalog.task(task_id)


def require_split(catalog: Catalog, task: Any, place: Path) -> None:
    """What a tenant may read has no path; what an administrator reads has it."""
    image = catalog.image(task.image_id)
    tenants = [image_document(image), task_document(task, is_admin=False)]
    assert str(place) not in json.dumps(tenants), tenants
    result = task_document(task, is_admin=True)["result"]
    assert str(place) in result["detail"]


def test_an_upload_to_a_store_that_is_away(make_site: MakeSite) -> None:
    site = make_site()
    site.start("worker-1")
    until("the worker is ready", lambda: site.processes[0].poll() is None)
    task = site.begin(site.new_image(), "upload")
    break_store(site, "a")
    done = send(site, task, IMAGE)
    assert done.outcome == "undecided"
    assert str(site.place) not in (done.message or "")
    assert str(site.place) in (done.detail or "")
    require_split(site.catalog, ended(site, task.id), site.place)


@pytest.mark.parametrize("method", ["import", "copy-image"])
def test_a_further_store_that_is_away(make_site: MakeSite, method: str) -> None:
    site = make_site(stores=("a", "b"))
    image = site.new_image()
    if method == "import":
        task = site.begin(image, "upload", ("a", "b"))
        site.queue(task, IMAGE)
        break_store(site, "b")
        site.start("worker-1")
        task_id = task.id
    else:
        site.start("worker-1")
        site.queue(site.begin(image, "upload"), IMAGE)
        site.until_status(image, "active")
        break_store(site, "b")
        task_id = site.copy(image.id, ("b",))
    require_split(site.catalog, ended(site, task_id), site.place)


def test_a_copy_from_a_store_that_lost_the_image(make_site: MakeSite) -> None:
    site = make_site(stores=("a", "b"))
    image = site.new_image()
    site.start("worker-1")
    site.queue(site.begin(image, "upload"), IMAGE)
    site.until_status(image, "active")
    break_store(site, "a")
    require_split(site.catalog, ended(site, site.copy(image.id, ("b",))), site.place)


def test_publishing_into_a_store_that_went_away(make_site: MakeSite) -> None:
    site = make_site()
    site.start("worker-1")
    image = site.new_image()
    task = site.begin(image)
    send(site, task, IMAGE)
    staged = site.request_import(image, digest="another plan")  # so that a worker runs it again
    break_store(site, "a")
    require_split(site.catalog, ended(site, staged.id), site.place)
