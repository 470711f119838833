"""Workers of the service: uploads as they come, tasks of the queue, several stores."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from douane.imports.publishing import finish_import
from support.waiting import until
from support.workers import MakeSite, send, upload

IMAGE = os.urandom(3 << 20)
BAD = b"bad" + bytes(1 << 20)


def test_staged_bytes_are_judged_as_they_come_and_imported_without_another_run(make_site: MakeSite) -> None:
    site = make_site()
    site.start("worker-1")
    image = site.new_image()
    done = send(site, site.begin(image), IMAGE)
    assert (done.outcome, done.image_status) == ("accepted", "uploading")
    [task] = site.catalog.tasks(image.id, requested_only=False)
    assert (task.step, task.verdict, task.size, task.worker) == ("staged", "accepted", len(IMAGE), None)
    assert site.staged() == [task.staged_key]
    ready = site.request_import(image)
    assert ready.step == "publishing"
    active = finish_import(site.catalog, lambda name: site.stores.by_id(name).store, ready)
    assert (active.status, active.stores, active.size) == ("active", ["a"], len(IMAGE))
    assert active.properties["judge.bytes"] == str(len(IMAGE))
    assert site.bytes_in("a", image) == IMAGE
    assert site.staged() == []


def test_a_refused_stage_keeps_the_verdict_and_no_bytes(make_site: MakeSite) -> None:
    site = make_site()
    site.start("worker-1")
    image = site.new_image()
    done = send(site, site.begin(image), BAD)
    assert (done.outcome, done.code, done.image_status) == ("refused", "bad", "uploading")
    [task] = site.catalog.tasks(image.id, requested_only=False)
    assert (task.step, task.verdict, task.code) == ("staged", "refused", "bad")
    assert site.staged() == []
    assert site.request_import(image).outcome == "refused"
    assert site.status(image) == "queued"


def test_with_refuse_at_stage_a_refused_image_is_queued_at_once(make_site: MakeSite) -> None:
    site = make_site(serve="refuse_at_stage = true")
    site.start("worker-1")
    image = site.new_image()
    done = send(site, site.begin(image), BAD)
    assert (done.outcome, done.code, done.image_status) == ("refused", "bad", "queued")
    assert "the image says that it is bad" in (done.message or "")
    assert site.status(image) == "queued"
    assert site.staged() == []


@pytest.mark.parametrize("data", [IMAGE, BAD], ids=["good", "bad"])
@pytest.mark.parametrize("way", ["as it comes", "from a file"])
def test_an_upload_is_imported_or_refused(make_site: MakeSite, data: bytes, way: str) -> None:
    site = make_site()
    site.start("worker-1")
    image = site.new_image()
    task = site.begin(image, "upload")
    if way == "as it comes":
        send(site, task, data)
    else:
        site.queue(task, data)
        until("the task has ended", lambda: site.catalog.task(task.id).outcome is not None)
    ended = site.catalog.task(task.id)
    if data is IMAGE:
        assert (ended.outcome, site.status(image)) == ("accepted", "active")
        assert site.bytes_in("a", image) == IMAGE
    else:
        assert (ended.outcome, ended.code, site.status(image)) == ("refused", "bad", "queued")
        assert site.catalog.image(image.id).failed_stores == ["a"]
    site.nothing_staged()


@pytest.mark.parametrize("method", ["upload", "glance-direct"])
def test_the_bytes_of_a_file_are_stored_without_being_written_again(
    make_site: MakeSite, tmp_path: Path, method: str
) -> None:
    site = make_site(stores=("a", "b"))
    image = site.new_image()
    task = site.begin(image, method, ("a", "b") if method == "upload" else ("a",))
    site.queue(task, IMAGE)
    kept = (tmp_path / "store-a" / "staging" / str(task.staged_key)).stat().st_ino
    site.start("worker-1")
    if method == "glance-direct":
        until("it is staged", lambda: site.catalog.task(task.id).step == "staged")
        assert len(site.staged()) == 1
        site.request_import(image, ("a", "b"))
    site.until_status(image, "active")
    assert [site.bytes_in(store, image) for store in "ab"] == [IMAGE] * 2
    assert (tmp_path / "store-a" / "images" / image.id).stat().st_ino == kept
    site.nothing_staged()


@pytest.mark.parametrize("cut", ["the pipe", "the connection"])
def test_an_upload_that_its_sender_gives_up_leaves_a_queued_image(make_site: MakeSite, cut: str) -> None:
    site = make_site()
    site.start("worker-1")
    image = site.new_image()
    with upload(site, site.begin(image)) as opened:
        opened.send(IMAGE)
        if cut == "the pipe":
            opened.close_pipe()
            opened.connection.close()
    assert site.until_status(image, "queued").code == "truncated"
    site.nothing_staged()
    assert send(site, site.begin(image, "upload"), IMAGE).outcome == "accepted"


def test_staged_bytes_are_run_again_when_the_plan_is_another(make_site: MakeSite) -> None:
    site = make_site()
    site.start("worker-1")
    image = site.new_image()
    send(site, site.begin(image), IMAGE)
    assert site.request_import(image, digest="another").step == "waiting"
    assert site.until_status(image, "active").stores == ["a"]
    assert site.bytes_in("a", image) == IMAGE
    site.nothing_staged()


def test_a_task_has_the_digest_of_the_plan_that_judged(make_site: MakeSite) -> None:
    site = make_site()
    site.start("worker-1")
    image = site.new_image()
    send(site, site.begin(image), IMAGE)
    task = site.request_import(image, digest="of the door")
    site.until_status(image, "active")
    assert site.catalog.task(task.id).plan_digest == site.served.facts.digest


def test_staged_bytes_are_copied_to_further_stores_without_another_run(make_site: MakeSite) -> None:
    site = make_site(stores=("a", "b", "c"))
    site.start("worker-1")
    image = site.new_image()
    send(site, site.begin(image), IMAGE)
    assert site.request_import(image, ("a", "b", "c")).verdict == "accepted"
    active = site.until_status(image, "active")
    assert (active.stores, active.properties["judge.bytes"]) == (["a", "b", "c"], str(len(IMAGE)))
    assert [site.bytes_in(store, image) for store in "abc"] == [IMAGE] * 3
    site.nothing_staged()


def test_one_run_fills_several_stores(make_site: MakeSite) -> None:
    site = make_site(stores=("a", "b"))
    site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image, "upload", ("a", "b")), IMAGE).outcome == "accepted"
    assert site.catalog.image(image.id).stores == ["a", "b"]
    assert [site.bytes_in(store, image) for store in "ab"] == [IMAGE] * 2


@pytest.mark.parametrize("way", ["upload", "staged", "copied"])
@pytest.mark.parametrize("all_must", [True, False])
def test_a_store_that_fails_costs_only_itself_unless_all_must_succeed(
    make_site: MakeSite, tmp_path: Path, all_must: bool, way: str
) -> None:
    site = make_site(stores=("a", "b", "c"))
    (tmp_path / "store-b").write_text("in the way")
    site.start("worker-1")
    image = site.new_image()
    flag = {"all_stores_must_succeed": all_must}
    if way == "upload":
        send(site, site.begin(image, "upload", ("a", "b", "c"), **flag), IMAGE)
    elif way == "staged":
        send(site, site.begin(image), IMAGE)
        site.request_import(image, ("a", "b", "c"), **flag)
    else:
        send(site, site.begin(image, "upload"), IMAGE)
        site.copy(image.id, ("b", "c"), **flag)
    until("the task has ended", lambda: site.catalog.tasks(image.id)[-1].outcome is not None)
    result = site.catalog.image(image.id)
    if all_must:
        assert result.status == ("active" if way == "copied" else "queued")
        assert result.stores == (["a"] if way == "copied" else [])
        assert list(site.stores.by_id("c").store.image_ids()) == []
        assert "b" in result.failed_stores
    else:
        assert (result.status, result.stores, result.failed_stores) == ("active", ["a", "c"], ["b"])
        assert [site.bytes_in(store, image) for store in "ac"] == [IMAGE] * 2
    until("nothing is staged", lambda: not list(site.stores.by_id("a").store.staged_keys()))
    assert list(site.stores.by_id("c").store.staged_keys()) == []


def test_an_image_is_copied_to_further_stores(make_site: MakeSite) -> None:
    site = make_site(stores=("a", "b"))
    site.start("worker-1")
    image = site.new_image()
    send(site, site.begin(image, "upload"), IMAGE)
    task = site.copy(image.id, ("a", "b"))
    until("the task has ended", lambda: site.catalog.task(task).outcome == "accepted")
    assert site.catalog.image(image.id).stores == ["a", "b"]
    assert site.bytes_in("b", image) == IMAGE


def test_a_damaged_image_is_not_copied(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site(stores=("a", "b"))
    site.start("worker-1")
    image = site.new_image()
    send(site, site.begin(image, "upload"), IMAGE)
    with open(tmp_path / "store-a" / "images" / image.id, "r+b") as file:
        file.write(b"another byte")
    task = site.copy(image.id, ("b",))
    until("the task has ended", lambda: site.catalog.task(task).outcome is not None)
    ended, copied = site.catalog.task(task), site.catalog.image(image.id)
    assert (ended.outcome, ended.code) == ("undecided", "damaged")
    assert (copied.status, copied.stores, copied.task_id) == ("active", ["a"], None)
    assert list(site.stores.by_id("b").store.image_ids()) == []


def test_what_a_killed_import_has_published_is_replaced_by_the_next(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site()
    site.start("worker-1")
    image = site.new_image()
    task = site.begin(image, "upload")
    (tmp_path / "store-a" / "images").mkdir(parents=True, exist_ok=True)
    (tmp_path / "store-a" / "images" / image.id).write_bytes(b"from an earlier import")
    assert send(site, task, IMAGE).outcome == "accepted"
    assert site.bytes_in("a", image) == IMAGE


@pytest.mark.parametrize("way", ["as it comes", "from a file"])
def test_a_cancelled_import_ends_and_leaves_nothing(make_site: MakeSite, way: str) -> None:
    site = make_site(seconds=0.5 if way == "from a file" else 0.0)
    process = site.start("worker-1")
    image = site.new_image()
    task = site.begin(image, "upload")
    if way == "as it comes":
        with upload(site, task) as opened:
            opened.send(IMAGE)
            site.catalog.cancel(image.id, message="stop it")
            done = opened.outcome()
            assert (done.outcome, done.code, done.message) == ("cancelled", "cancelled", "stop it")
    else:
        site.queue(task, os.urandom(64 << 20))
        until("it runs", lambda: site.catalog.task(task.id).step == "receiving")
        site.catalog.cancel(task.id, message="stop it")
    assert site.status(image) == "queued"
    site.nothing_staged()
    assert send(site, site.begin(image, "upload"), IMAGE).outcome == "accepted"
    assert process.poll() is None


def test_an_image_that_is_deleted_meanwhile_leaves_nothing(make_site: MakeSite) -> None:
    site = make_site()
    site.start("worker-1")
    image = site.new_image()
    with upload(site, site.begin(image, "upload")) as opened:
        opened.send(IMAGE)
        site.catalog.delete(image.id)
        assert opened.outcome().outcome == "cancelled"
    site.nothing_staged()
    assert list(site.stores.by_id("a").store.image_ids()) == []


def test_a_silent_sender_gives_its_worker_up_when_others_wait(make_site: MakeSite) -> None:
    site = make_site()
    site.start("worker-1")
    silent, waiting = site.new_image(), site.new_image()
    with upload(site, site.begin(silent, "upload")) as opened:
        opened.send(IMAGE)
        site.queue(site.begin(waiting, "upload"), IMAGE)
        done = opened.outcome()
    assert (done.outcome, done.code, done.image_status) == ("undecided", "too-slow", "queued")
    site.until_status(waiting, "active")
    assert site.status(silent) == "queued"
    site.nothing_staged()


def test_a_worker_that_has_to_end_gives_its_queued_task_back(make_site: MakeSite) -> None:
    site = make_site(serve='grace = "1s"', seconds=0.5)
    process = site.start("worker-1")
    image = site.new_image()
    task = site.queue(site.begin(image, "upload"), os.urandom(64 << 20))
    until("it runs", lambda: site.catalog.task(task.id).step == "receiving")
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    waiting = site.catalog.task(task.id)
    assert (waiting.step, waiting.attempts, waiting.worker) == ("waiting", 0, None)
    assert site.staged() == [waiting.source["spool"]]


def test_a_worker_that_has_to_end_completes_its_upload_within_the_grace(make_site: MakeSite) -> None:
    site = make_site()
    process = site.start("worker-1")
    image = site.new_image()
    with upload(site, site.begin(image, "upload")) as opened:
        opened.reply()
        process.send_signal(signal.SIGTERM)
        opened.send(IMAGE)
        assert opened.end().outcome == "accepted"
    assert process.wait() == 0
    assert site.bytes_in("a", image) == IMAGE


def test_a_worker_reads_its_plan_again_and_keeps_the_old_one_if_it_cannot_be_used(make_site: MakeSite) -> None:
    site = make_site()
    process = site.start("worker-1")
    first = site.new_image()
    send(site, site.begin(first), IMAGE)
    [before] = site.catalog.tasks(first.id, requested_only=False)
    digests = []
    for text in (site.config.read_text().replace("seconds = 0.0", "seconds = 0.001"), "nonsense"):
        site.config.write_text(text)
        process.send_signal(signal.SIGHUP)
        image = site.new_image()
        send(site, site.begin(image), IMAGE)
        [task] = site.catalog.tasks(image.id, requested_only=False)
        digests.append(task.plan_digest)
    assert digests[0] == digests[1] != before.plan_digest
