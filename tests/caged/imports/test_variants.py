"""Copies that a transform makes for one store, by real workers: what they are, and what is left when one dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from douane.catalog import Image
from support.sizes import part
from support.waiting import until
from support.workers import MakeSite, Site, send

PROGRAM = Path(__file__).parents[2] / "support" / "killed_worker.py"
IMAGE = os.urandom(1 << 20)
BOTH = ("a", "b")


def is_complete(site: Site, image: Image, data: bytes = IMAGE) -> None:
    active = site.until_status(image, "active")
    assert (active.stores, active.own_stores, active.size) == (["a", "b"], ["a"], len(data))
    assert (site.bytes_in("a", image), site.bytes_in("b", image)) == (data, data * 2)
    assert active.variants["b"].size == 2 * len(data)
    assert set(active.variants["b"].digests) == set(active.digests)
    assert site.catalog.usage(None).size_total == 3 * len(data)
    site.nothing_staged()


def test_an_upload_into_both_stores(make_site: MakeSite) -> None:
    site = make_site(stores=BOTH, twice=("b",))
    site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image, "upload", BOTH), IMAGE).outcome == "accepted"
    is_complete(site, image)
    [task] = site.catalog.tasks(image.id)
    assert task.report["variants"]["b"]["verdicts"][0]["plugin"] == "twice"


@pytest.mark.parametrize("stores", [BOTH, ("b",)], ids=",".join)
def test_staged_bytes_are_imported_into_stores_with_and_without_the_transform(
    make_site: MakeSite, stores: tuple[str, ...]
) -> None:
    site = make_site(stores=BOTH, twice=("b",))
    site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image), IMAGE).outcome == "accepted"
    site.request_import(image, stores, transformed=("b",))
    if stores == BOTH:
        is_complete(site, image)
        return
    active = site.until_status(image, "active")
    assert (active.own_stores, active.size, active.variants) == (["b"], 2 * len(IMAGE), {})
    assert site.bytes_in("b", image) == IMAGE * 2
    site.nothing_staged()


def test_a_default_store_with_a_transform_keeps_staged_bytes_as_they_came(make_site: MakeSite) -> None:
    site = make_site(stores=("b", "a"), twice=("b",))
    site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image, stores=("b",)), IMAGE).outcome == "accepted"
    site.request_import(image, ("b", "a"), transformed=("b",))
    is_complete(site, image)


def test_a_copy_into_the_store_of_the_transform(make_site: MakeSite) -> None:
    site = make_site(stores=BOTH, twice=("b",))
    site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image, "upload"), IMAGE).outcome == "accepted"
    task = site.copy(image.id, ("b",))
    until("the task has ended", lambda: site.catalog.task(task).outcome == "accepted")
    is_complete(site, image)


@pytest.mark.parametrize("method", ["upload", "copy-image"])
@pytest.mark.parametrize(
    ("data", "outcome", "code"),
    [(b"once" + IMAGE, "refused", "once"), (b"crash" + IMAGE, "undecided", "plugin-error")],
    ids=["refused", "crashed"],
)
def test_what_the_transform_does_not_let_through_is_nowhere(
    make_site: MakeSite, method: str, data: bytes, outcome: str, code: str
) -> None:
    site = make_site(stores=BOTH, twice=("b",))
    site.start("worker-1")
    image = site.new_image()
    if method == "upload":
        done = send(site, site.begin(image, "upload", BOTH), data)
        assert (done.outcome, done.code) == (outcome, code)
        assert site.until_status(image, "queued").code == code
        [task] = site.catalog.tasks(image.id)
        assert (task.report["outcome"], task.report["code"]) == (outcome, code)
        assert [verdict["plugin"] for verdict in task.report["verdicts"]] == ["judge"]
        assert task.report["variants"]["b"]["verdicts"][0]["plugin"] == "twice"
        assert list(site.stores.by_id("a").store.image_ids()) == []
    else:
        assert send(site, site.begin(image, "upload"), data).outcome == "accepted"
        task = site.copy(image.id, ("b",))
        until("the task has ended", lambda: site.catalog.task(task).outcome)
        assert (site.catalog.task(task).outcome, site.catalog.task(task).code) == (outcome, code)
        assert (site.status(image), site.catalog.image(image.id).stores) == ("active", ["a"])
    assert list(site.stores.by_id("b").store.image_ids()) == []
    site.nothing_staged()


def test_a_store_that_may_fail_goes_without_the_variant_that_a_crash_prevents(make_site: MakeSite) -> None:
    site = make_site(stores=BOTH, twice=("b",))
    site.start("worker-1")
    image = site.new_image()
    data = b"crash" + IMAGE
    assert send(site, site.begin(image, "upload", BOTH, all_stores_must_succeed=False), data).outcome == "accepted"
    active = site.until_status(image, "active")
    assert (active.stores, active.failed_stores) == (["a"], ["b"])
    site.nothing_staged()


@pytest.mark.parametrize(
    "boundary",
    part(["after:finish", "before:ready", "after:ready", "after:link", "after:publish", "before:activate"], 2),
)
def test_a_worker_that_dies_between_the_steps_leaves_both_copies_or_none(make_site: MakeSite, boundary: str) -> None:
    site = make_site(stores=BOTH, twice=("b",))
    image = site.new_image()
    site.queue(site.begin(image, "upload", BOTH), IMAGE)
    first = site.start("worker-1", program=(str(PROGRAM), boundary, "SIGKILL"))
    assert first.wait() == -signal.SIGKILL
    site.catalog.release_worker("worker-1")
    site.start("worker-2")
    is_complete(site, image)


@pytest.mark.parametrize("boundary", ["after:publish", "before:activate"])
def test_staged_bytes_of_a_default_store_are_not_taken_for_its_variant_after_a_crash(
    make_site: MakeSite, boundary: str
) -> None:
    site = make_site(stores=("b", "a"), twice=("b",))
    first = site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image, stores=("b",)), IMAGE).outcome == "accepted"
    site.kill(first, "worker-1")
    site.request_import(image, ("b",), transformed=("b",))
    second = site.start("worker-2", program=(str(PROGRAM), boundary, "SIGKILL"))
    assert second.wait() == -signal.SIGKILL
    site.catalog.release_worker("worker-2")
    site.start("worker-3")
    active = site.until_status(image, "active")
    assert (active.own_stores, active.size) == (["b"], 2 * len(IMAGE))
    assert site.bytes_in("b", image) == IMAGE * 2
    site.nothing_staged()
