"""Bytes that are staged in several stores from one read: their import reads nothing again, and nothing is left over."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from douane.catalog import Image, Task
from douane.imports.publishing import finish_import
from douane.imports.settling import Settling
from support.sizes import part
from support.waiting import until
from support.workers import MakeSite, Site, Upload, send, upload

PROGRAM = Path(__file__).parents[2] / "support" / "killed_worker.py"
IMAGE = os.urandom(3 << 20)
ALL = ("a", "b", "c")


def stage(site: Site, stores: tuple[str, ...] = ALL) -> tuple[Image, Task]:
    """An image whose bytes are staged in these stores by a worker."""
    image = site.new_image()
    assert send(site, site.begin(image, stores=stores), IMAGE).outcome == "accepted"
    return image, staged_task(site, image)


def staged_task(site: Site, image: Image) -> Task:
    [task] = site.catalog.tasks(image.id, requested_only=False)
    return task


def holding(site: Site, key: str | None) -> list[str]:
    """The stores that have staged bytes under the key."""
    return [name for name in ALL if key in site.stores.by_id(name).store.staged_keys()]


def is_complete(site: Site, image: Image, stores: tuple[str, ...]) -> None:
    """The image is active and whole in these stores, in no other, and nothing is staged."""
    active = site.until_status(image, "active")
    assert (active.stores, active.size, active.task_id) == (list(stores), len(IMAGE), None)
    assert [site.bytes_in(store, image) for store in stores] == [IMAGE] * len(stores)
    others = [site.stores.by_id(name).store for name in ALL if name not in stores]
    assert [list(store.image_ids()) for store in others] == [[]] * len(others)
    site.nothing_staged()


def inodes(site: Site, folder: str, name: str) -> dict[str, int]:
    """The file of each store, which shows that nothing was written again."""
    return {store: (site.place / f"store-{store}" / folder / name).stat().st_ino for store in ALL}


@pytest.mark.parametrize("way", ["as it comes", "from a file"])
@pytest.mark.parametrize("wanted", [ALL, ("b", "c"), ("b",)], ids=["all", "two", "one"])
def test_an_import_into_any_of_the_stores_needs_no_worker(
    make_site: MakeSite, wanted: tuple[str, ...], way: str
) -> None:
    site = make_site(stores=ALL)
    worker = site.start("worker-1")
    image = site.new_image()
    task = site.begin(image, stores=ALL)
    if way == "as it comes":
        assert send(site, task, IMAGE).image_status == "uploading"
    else:
        site.queue(task, IMAGE)
        until("it is staged", lambda: site.catalog.task(task.id).step == "staged")
    staged = staged_task(site, image)
    assert holding(site, staged.staged_key) == list(ALL)
    until("only the staged bytes are left", lambda: set(site.staged()) == {staged.staged_key})
    before = inodes(site, "staging", str(staged.staged_key))
    site.kill(worker, "worker-1")
    ready = site.request_import(image, wanted)
    assert ready.step == "publishing"
    finish_import(site.catalog, lambda name: site.stores.by_id(name).store, ready)
    assert {store: before[store] for store in wanted} == {
        store: (site.place / f"store-{store}" / "images" / image.id).stat().st_ino for store in wanted
    }
    Settling(site.catalog, site.stores, "worker-2").delete_remnants()
    is_complete(site, image, wanted)


def test_a_store_that_was_not_staged_in_is_filled_from_one_that_was(make_site: MakeSite) -> None:
    site = make_site(stores=ALL)
    site.start("worker-1")
    image, _ = stage(site, ("a", "b"))
    assert site.request_import(image, ("b", "c")).step == "waiting"
    is_complete(site, image, ("b", "c"))


def test_what_an_earlier_version_staged_is_imported(make_site: MakeSite) -> None:
    site = make_site(stores=ALL)
    site.start("worker-1")
    image, task = stage(site, ("a",))
    assert task.source == {"staged": task.staged_key, "store": "a"}
    site.request_import(image, ALL)
    is_complete(site, image, ALL)


@pytest.mark.parametrize("broken", ["a", "b"])
def test_a_store_that_fails_while_bytes_are_staged_costs_only_itself(make_site: MakeSite, broken: str) -> None:
    site = make_site(stores=ALL)
    (site.place / f"store-{broken}").write_text("in the way")
    site.start("worker-1")
    image, task = stage(site)
    others = tuple(name for name in ALL if name != broken)
    assert task.source["stores"] == list(others)
    (site.place / f"store-{broken}").unlink()
    if broken == "a":
        assert site.request_import(image, others).step == "publishing"
        finish_import(site.catalog, lambda name: site.stores.by_id(name).store, site.catalog.task(task.id))
        is_complete(site, image, others)
    else:
        assert site.request_import(image, ALL).step == "waiting"
        is_complete(site, image, ALL)


def test_an_upload_that_no_store_can_stage_leaves_a_queued_image(make_site: MakeSite) -> None:
    site = make_site(stores=ALL)
    for name in ALL:
        (site.place / f"store-{name}").write_text("in the way")
    site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image, stores=ALL), IMAGE).outcome == "undecided"
    assert site.status(image) == "queued"


def test_staged_bytes_are_read_from_a_store_that_still_has_them(make_site: MakeSite) -> None:
    site = make_site(stores=ALL)
    site.start("worker-1")
    image, _ = stage(site, ("a", "b"))
    shutil.rmtree(site.place / "store-a")
    (site.place / "store-a").write_text("in the way")
    site.request_import(image, ("b", "c"))
    active = site.until_status(image, "active")
    assert (active.stores, site.bytes_in("c", image)) == (["b", "c"], IMAGE)


def test_a_run_of_another_plan_writes_nothing_again(make_site: MakeSite) -> None:
    site = make_site(stores=ALL)
    site.start("worker-1")
    image, task = stage(site)
    before = inodes(site, "staging", str(task.staged_key))
    assert site.request_import(image, ALL, digest="another").step == "waiting"
    is_complete(site, image, ALL)
    assert inodes(site, "images", image.id) == before


def test_a_refused_image_is_staged_in_no_store(make_site: MakeSite) -> None:
    site = make_site(stores=ALL)
    site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image, stores=ALL), b"bad" + IMAGE).outcome == "refused"
    assert site.staged() == []


@pytest.mark.parametrize("end", ["expired", "deleted", "cancelled"])
def test_staged_bytes_that_nobody_imports_leave_every_store(make_site: MakeSite, end: str) -> None:
    site = make_site(stores=ALL, serve='staged_expiry = "1s"' if end == "expired" else "")
    site.start("worker-1")
    image, _ = stage(site)
    if end == "deleted":
        site.catalog.delete(image.id)
    elif end == "cancelled":
        site.catalog.cancel(image.id, message="stop it")
    else:
        assert site.until_status(image, "queued").code == "expired"
    if end != "expired":
        Settling(site.catalog, site.stores, "worker-2").delete_remnants()
    site.nothing_staged()


def test_an_image_that_is_deleted_while_it_is_staged_leaves_nothing(make_site: MakeSite) -> None:
    site = make_site(stores=ALL)
    site.start("worker-1")
    image = site.new_image()
    with upload(site, site.begin(image, stores=ALL)) as opened:
        opened.send(IMAGE)
        site.catalog.delete(image.id)
        assert opened.outcome().outcome == "cancelled"
    site.nothing_staged()


# Each store finishes its own file: the worker is killed at one store, when others have the bytes or not.
@pytest.mark.parametrize("boundary", part(["before:finish", "after:finish#2", "after:finish#3", "before:record"], 2))
@pytest.mark.parametrize("way", ["as it comes", "from a file"])
def test_a_worker_that_is_killed_while_it_stages_leaves_nothing_in_any_store(
    make_site: MakeSite, boundary: str, way: str
) -> None:
    if way == "from a file":  # the default store has the file, and links it
        boundary = boundary.replace("#3", "#1")
    site = make_site(stores=ALL)
    image = site.new_image()
    task = site.begin(image, stores=ALL)
    first = start_to_fail(site, boundary)
    if way == "as it comes":
        opened = Upload(site, task)
        opened.send(IMAGE)
        opened.end_without_reply()
    else:
        site.queue(task, IMAGE)
    assert first.wait() == -signal.SIGKILL
    site.catalog.release_worker("worker-1")
    site.start("worker-2")
    if way == "as it comes":
        opened.close()
        assert site.until_status(image, "queued").code == "interrupted"
        site.nothing_staged()
    else:
        until("it is staged", lambda: site.catalog.task(task.id).step == "staged")
        until("only its bytes are staged", lambda: set(site.staged()) == {staged_task(site, image).staged_key})
        assert holding(site, staged_task(site, image).staged_key) == list(ALL)


def test_bytes_of_a_worker_that_is_killed_after_their_record_are_imported(make_site: MakeSite) -> None:
    site = make_site(stores=ALL)
    image = site.new_image()
    first = start_to_fail(site, "after:record")
    opened = Upload(site, site.begin(image, stores=ALL))
    opened.send(IMAGE)
    opened.end_without_reply()
    assert first.wait() == -signal.SIGKILL
    opened.close()
    site.start("worker-2")
    ready = site.request_import(image, ALL)
    assert ready.step == "publishing"
    site.catalog.release_worker("door")  # it dies at once: a worker finishes the import
    is_complete(site, image, ALL)


PUBLISHING = [
    *("before:adopt", "after:adopt#2", "before:link#2", "after:link#2", "before:unlink#2", "after:publish"),
    *("after:publish#2", "before:activate", "after:activate"),
]


@pytest.mark.parametrize("boundary", part(PUBLISHING, 3))
@pytest.mark.parametrize("wanted", [ALL, ("b", "c")], ids=["all", "two"])
def test_a_worker_that_is_killed_while_it_publishes_staged_bytes_is_replaced(
    make_site: MakeSite, boundary: str, wanted: tuple[str, ...]
) -> None:
    site = make_site(stores=ALL)
    worker = site.start("worker-0")
    image, _ = stage(site)
    site.kill(worker, "worker-0")
    assert site.request_import(image, wanted).step == "publishing"
    first = start_to_fail(site, boundary)
    site.catalog.release_worker("door")
    assert first.wait() == -signal.SIGKILL
    site.catalog.release_worker("worker-1")
    site.start("worker-2")
    is_complete(site, image, wanted)


@pytest.mark.parametrize(
    "boundary", part(["before:finish", "before:ready", "after:ready", "after:publish", "after:publish#2"], 2)
)
def test_a_worker_that_is_killed_while_it_copies_to_a_further_store_is_replaced(
    make_site: MakeSite, boundary: str
) -> None:
    site = make_site(stores=ALL)
    worker = site.start("worker-0")
    image, _ = stage(site, ("a", "b"))
    site.kill(worker, "worker-0")
    assert site.request_import(image, ("b", "c")).step == "waiting"
    first = start_to_fail(site, boundary)
    assert first.wait() == -signal.SIGKILL
    site.catalog.release_worker("worker-1")
    site.start("worker-2")
    is_complete(site, image, ("b", "c"))


def start_to_fail(site: Site, boundary: str) -> Any:
    """A worker that is killed at the boundary."""
    return site.start("worker-1", program=(str(PROGRAM), boundary, "SIGKILL"))
