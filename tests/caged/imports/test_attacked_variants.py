"""Variants of an image whose bytes, stores, plugins or workers fail in the middle."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support.waiting import until
from support.workers import MakeSite, Site, send

PROGRAM = Path(__file__).parents[2] / "support" / "killed_worker.py"
IMAGE = os.urandom(1 << 20)
BOTH = ("a", "b")


def nothing_in(site: Site, *stores: str) -> None:
    assert [key for store in stores for key in site.stores.by_id(store).store.image_ids()] == []


def damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(bytes(100))


def killed(site: Site, name: str, boundary: str) -> None:
    process = site.start(name, program=(str(PROGRAM), boundary, "SIGKILL"))
    assert process.wait() == -signal.SIGKILL
    site.catalog.release_worker(name)


def test_an_image_is_not_active_with_nothing_but_a_variant(make_site: MakeSite) -> None:
    site = make_site(stores=BOTH, twice=("b",))
    image = site.new_image()
    task = site.queue(site.begin(image, "upload", BOTH, all_stores_must_succeed=False), IMAGE)
    killed(site, "worker-1", "after:ready")
    key = site.catalog.task(task.id).staged_key
    assert key is not None
    site.stores.by_id("a").store.discard(key)
    site.start("worker-2")
    assert site.until_status(image, "queued").failed_stores == ["a"]
    site.nothing_staged()
    nothing_in(site, "a", "b")


def test_a_store_whose_variant_failed_does_not_get_the_staged_bytes_after_a_crash(make_site: MakeSite) -> None:
    site = make_site(stores=("b", "a"), twice=("b",))
    first = site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image, stores=("b",)), b"crash" + IMAGE).outcome == "accepted"
    site.kill(first, "worker-1")
    site.request_import(image, ("b", "a"), transformed=("b",), all_stores_must_succeed=False)
    killed(site, "worker-2", "after:ready")
    site.start("worker-3")
    active = site.until_status(image, "active")
    assert (active.stores, active.failed_stores) == (["a"], ["b"])
    site.nothing_staged()
    nothing_in(site, "b")


def test_no_variant_is_made_of_a_damaged_image(make_site: MakeSite) -> None:
    site = make_site(stores=BOTH, twice=("b",))
    site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image, "upload"), IMAGE).outcome == "accepted"
    damage(site.place / "store-a" / "images" / image.id)
    task = site.copy(image.id, ("b",))
    until("the task has ended", lambda: site.catalog.task(task).outcome)
    assert (site.catalog.task(task).outcome, site.catalog.task(task).code) == ("undecided", "damaged")
    assert site.catalog.image(image.id).stores == ["a"]
    site.nothing_staged()
    nothing_in(site, "b")


def test_no_variant_is_made_of_damaged_staged_bytes(make_site: MakeSite) -> None:
    site = make_site(stores=BOTH, twice=("b",))
    site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image), IMAGE).outcome == "accepted"
    [path] = (site.place / "store-a" / "staging").iterdir()
    damage(path)
    site.request_import(image, BOTH, transformed=("b",))
    assert site.until_status(image, "queued").code == "damaged"
    site.nothing_staged()
    nothing_in(site, "a", "b")


def test_a_store_that_may_fail_goes_without_the_variant_of_a_plugin_that_cannot_start(make_site: MakeSite) -> None:
    site = make_site(stores=("a", "b", "c"), twice=("b",))
    site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image, "upload"), IMAGE).outcome == "accepted"
    (site.place / "judge.py").unlink()
    task = site.copy(image.id, ("b", "c"), all_stores_must_succeed=False)
    until("the task has ended", lambda: site.catalog.task(task).outcome)
    active = site.catalog.image(image.id)
    assert (active.stores, active.failed_stores) == (["a", "c"], ["b"])
    site.nothing_staged()


def test_the_report_of_a_variant_has_no_line_of_another_image(make_site: MakeSite) -> None:
    site = make_site(stores=BOTH, twice=("b",))
    first = site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image, "upload"), b"once" + IMAGE).outcome == "accepted"
    site.kill(first, "worker-1")
    site.queue(site.begin(site.new_image(), "upload"), IMAGE)
    task = site.copy(image.id, ("b",))
    site.start("worker-2")
    until("the task has ended", lambda: site.catalog.task(task).outcome)
    report = site.catalog.task(task).report
    assert (report["code"], report.get("log", [])) == ("once", [])


def test_a_worker_that_has_to_end_while_it_makes_a_variant_leaves_nothing_but_the_upload(make_site: MakeSite) -> None:
    site = make_site(stores=BOTH, twice=("b",), serve="grace = 0.1")
    image = site.new_image()
    task = site.queue(site.begin(image, "upload", BOTH), b"slow" + IMAGE)
    worker = site.start("worker-1")
    until("the variant is being made", lambda: list(site.stores.by_id("b").store.staged_keys()))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert site.catalog.task(task.id).step == "waiting"
    assert site.staged() == [task.source["spool"]]


@pytest.mark.parametrize("end", ["cancel", "delete"])
def test_an_import_that_ends_while_its_variant_is_made_leaves_nothing(make_site: MakeSite, end: str) -> None:
    site = make_site(stores=BOTH, twice=("b",))
    image = site.new_image()
    site.queue(site.begin(image, "upload", BOTH), b"slow" + IMAGE)
    site.start("worker-1")
    until("the variant is being made", lambda: list(site.stores.by_id("b").store.staged_keys()))
    if end == "cancel":
        site.catalog.cancel(image.id, message="cancelled")
    else:
        site.catalog.delete(image.id)
    site.until_status(image, "queued" if end == "cancel" else "deleted")
    site.nothing_staged()
    nothing_in(site, "a", "b")


def test_a_worker_that_is_stopped_while_it_makes_a_variant_does_not_disturb_its_successor(make_site: MakeSite) -> None:
    site = make_site(stores=BOTH, twice=("b",))
    image = site.new_image()
    site.queue(site.begin(image, "upload", BOTH), IMAGE)
    first = site.start("worker-1", program=(str(PROGRAM), "before:ready", "SIGSTOP"))
    until("the variant is made", lambda: list(site.stores.by_id("b").store.staged_keys()))
    until("it is stopped", lambda: b"State:\tT" in Path(f"/proc/{first.pid}/status").read_bytes())
    site.catalog.release_worker("worker-1")
    site.start("worker-2")
    active = site.until_status(image, "active")
    first.send_signal(signal.SIGCONT)
    site.nothing_staged()
    assert (site.bytes_in("a", image), site.bytes_in("b", image)) == (IMAGE, IMAGE * 2)
    assert (active.stores, active.own_stores) == (["a", "b"], ["a"])
