"""Workers that die or are paused at any step: nothing is lost, doubled or left over."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from douane.catalog import Image, Task
from support.processes import lives, stop
from support.sizes import part
from support.waiting import until
from support.workers import MakeSite, Site, Upload, send, upload

PROGRAM = Path(__file__).parents[2] / "support" / "killed_worker.py"
IMAGE = os.urandom(3 << 20)
LONG = os.urandom(48 << 20)
"""With a plugin that takes its time for each chunk, a run that lasts for seconds."""


# From "ready" on, the verdict and the bytes are durable: another worker finishes the import.
BEFORE_READY = ["before:finish", "after:finish", "before:ready"]
FROM_READY = [
    *("after:ready", "before:adopt", "after:adopt", "before:publish", "before:link", "after:link", "before:sync"),
    *("before:unlink", "after:unlink", "after:publish", "before:activate", "after:activate"),
]


def start_to_fail(site: Site, name: str, boundary: str, number: str) -> subprocess.Popen[bytes]:
    """A worker that gets a signal at the boundary."""
    return site.start(name, program=(str(PROGRAM), boundary, number))


def is_paused(process: subprocess.Popen[bytes]) -> bool:
    return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED


def is_complete(site: Site, image: Image, data: bytes = IMAGE) -> None:
    """The image is active, whole and alone; its task was accepted."""
    active = site.until_status(image, "active")
    assert (active.stores, active.size, active.task_id) == (["a"], len(data), None)
    assert site.bytes_in("a", image) == data
    assert list(site.stores.by_id("a").store.image_ids()) == [image.id]
    assert [task.outcome for task in site.catalog.tasks(image.id)][-1] == "accepted"
    site.nothing_staged()


def is_usable_again(site: Site, image: Image) -> None:
    """The image is queued, no bytes are left, and another import succeeds."""
    queued = site.until_status(image, "queued")
    assert (queued.task_id, queued.size) == (None, None)
    assert list(site.stores.by_id("a").store.image_ids()) == []
    site.nothing_staged()
    assert send(site, site.begin(image, "upload"), IMAGE).outcome == "accepted"


def plugin_processes(site: Site) -> list[psutil.Process]:
    return [child for process in site.processes for child in _descendants(process.pid)]


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.mark.parametrize("method", ["glance-direct", "upload"])
def test_a_worker_that_is_killed_in_the_middle_of_an_upload_leaves_a_usable_image(
    make_site: MakeSite, method: str
) -> None:
    site = make_site()
    first = site.start("worker-1")
    image = site.new_image()
    with upload(site, site.begin(image, method)) as opened:
        opened.reply()
        opened.send(IMAGE)
        plugins = plugin_processes(site)
        assert plugins
        site.kill(first, "worker-1")
    site.start("worker-2")
    assert site.until_status(image, "queued").code == "interrupted"
    is_usable_again(site, image)
    until("its plugins are gone", lambda: not any(lives(plugin) for plugin in plugins))


@pytest.mark.parametrize("boundary", part([*BEFORE_READY, *FROM_READY], 3))
def test_an_upload_whose_worker_is_killed_is_undone_or_finished(make_site: MakeSite, boundary: str) -> None:
    site = make_site()
    first = start_to_fail(site, "worker-1", boundary, "SIGKILL")
    image = site.new_image()
    opened = Upload(site, site.begin(image, "upload"))
    opened.send(IMAGE)
    opened.end_without_reply()
    assert first.wait() == -signal.SIGKILL
    opened.close()
    site.catalog.release_worker("worker-1")
    site.start("worker-2")
    if boundary in BEFORE_READY:
        is_usable_again(site, image)
    else:
        is_complete(site, image)


@pytest.mark.parametrize("boundary", part([*BEFORE_READY, "after:ready", "after:link", "before:activate"], 2))
def test_a_queued_task_whose_worker_is_killed_is_done_by_another(make_site: MakeSite, boundary: str) -> None:
    site = make_site()
    image = site.new_image()
    site.queue(site.begin(image, "upload"), IMAGE)
    first = start_to_fail(site, "worker-1", boundary, "SIGKILL")
    assert first.wait() == -signal.SIGKILL
    site.catalog.release_worker("worker-1")
    site.start("worker-2")
    is_complete(site, image)


def test_an_image_on_which_three_workers_died_is_not_tried_again(make_site: MakeSite) -> None:
    site = make_site()
    image = site.new_image()
    task = site.queue(site.begin(image, "upload"), IMAGE)
    for number in range(3):
        process = start_to_fail(site, f"worker-{number}", "before:ready", "SIGKILL")
        assert process.wait() == -signal.SIGKILL
        site.catalog.release_worker(f"worker-{number}")
    site.start("worker-3")
    ended = until("the task has ended", lambda: (last := site.catalog.task(task.id)).outcome and last)
    assert isinstance(ended, Task)
    assert (ended.outcome, ended.code, ended.attempts) == ("undecided", "interrupted", 3)
    is_usable_again(site, image)


@pytest.mark.parametrize("boundary", ["after:adopt", "after:publish"])
def test_copies_of_a_worker_that_is_killed_are_replaced(make_site: MakeSite, boundary: str) -> None:
    site = make_site(stores=("a", "b"))
    worker = site.start("worker-1")
    image = site.new_image()
    send(site, site.begin(image, "upload"), IMAGE)
    site.kill(worker, "worker-1")
    task = site.copy(image.id, ("b",))
    second = start_to_fail(site, "worker-2", boundary, "SIGKILL")
    assert second.wait() == -signal.SIGKILL
    assert site.catalog.image(image.id).stores == ["a"]
    site.catalog.release_worker("worker-2")
    site.start("worker-3")
    until("the task has ended", lambda: site.catalog.task(task).outcome == "accepted")
    assert site.catalog.image(image.id).stores == ["a", "b"]
    assert site.bytes_in("b", image) == IMAGE
    site.nothing_staged()


def test_a_worker_that_is_paused_in_the_middle_changes_nothing_when_it_comes_back(make_site: MakeSite) -> None:
    site = make_site(seconds=0.1)
    first = site.start("worker-1")
    image = site.new_image()
    task = site.queue(site.begin(image, "upload"), LONG)
    until("it runs", lambda: site.catalog.task(task.id).step == "receiving")
    stop(first.pid)
    site.catalog.release_worker("worker-1")  # as if its lease had ended
    second = site.start("worker-2")
    site.until_status(image, "active")
    before = site.catalog.image(image.id), site.catalog.tasks(image.id)
    site.kill(second, "worker-2")
    first.send_signal(signal.SIGCONT)
    other = site.new_image()
    assert send(site, site.begin(other, "upload"), IMAGE).outcome == "accepted"  # it works on
    assert (site.catalog.image(image.id), site.catalog.tasks(image.id)) == before
    assert site.bytes_in("a", image) == LONG
    site.nothing_staged()


@pytest.mark.parametrize(
    "boundary",
    part(
        [
            "before:ready",
            "after:ready",
            "before:adopt",
            "after:adopt",
            "after:link",
            "after:publish",
            "before:activate",
        ],
        3,
    ),
)
def test_a_worker_that_is_paused_at_any_step_of_publishing_changes_nothing_later(
    make_site: MakeSite, boundary: str
) -> None:
    site = make_site()
    image = site.new_image()
    task = site.queue(site.begin(image, "upload"), IMAGE)
    first = start_to_fail(site, "worker-1", boundary, "SIGSTOP")
    until("it is paused", lambda: is_paused(first))
    site.catalog.release_worker("worker-1")
    second = site.start("worker-2")
    if boundary in ("after:adopt", "after:link"):  # its claim keeps the bytes from others
        until("the other worker has tried", lambda: site.catalog.task(task.id).worker == "worker-2")
        assert site.status(image) == "importing"
    else:
        is_complete(site, image)
    first.send_signal(signal.SIGCONT)
    site.kill(second, "worker-2")
    is_complete(site, image)
    other = site.new_image()
    assert send(site, site.begin(other, "upload"), IMAGE).outcome == "accepted"
    assert site.catalog.image(image.id).status == "active"
    assert site.bytes_in("a", image) == IMAGE


def test_a_worker_ends_with_its_supervisor(make_site: MakeSite) -> None:
    site = make_site()
    read_end, write_end = os.pipe()
    process = site.start("worker-1", life_fd=read_end)
    os.close(read_end)
    image = site.new_image()
    assert send(site, site.begin(image, "upload"), IMAGE).outcome == "accepted"
    os.close(write_end)
    assert process.wait() == 0


def test_staged_bytes_that_nobody_imports_are_deleted_in_time(
    make_site: MakeSite, capfd: pytest.CaptureFixture[str]
) -> None:
    site = make_site(serve='staged_expiry = "1s"')
    site.start("worker-1")
    image = site.new_image()
    assert send(site, site.begin(image), IMAGE).outcome == "accepted"
    assert site.until_status(image, "queued").code == "expired"
    site.nothing_staged()
    assert "its data expired" in capfd.readouterr().err
