"""Leases: one worker a task, whose death is seen, and whose late steps change nothing."""

import re
import uuid
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from douane.catalog import Catalog, ImportRequest, leases
from douane.catalog.clock import database_time
from douane.catalog.waiting_tasks import Claimable
from douane.errors import BadValue, Conflict, NotFound
from support.catalog import PLAN, URL, begin, download, make_ready, record_staged


def lost(call, *args: object, **kwargs: object) -> bool:
    with pytest.raises(Conflict) as caught:
        call(*args, **kwargs)
    return caught.value.code == "lost-task"


def test_a_waiting_import_is_claimed_once_and_the_oldest_first(catalog: Catalog) -> None:
    tasks = [download(catalog) for _ in range(3)]
    assert {task.step for task in tasks} == {"waiting"}
    claimed = [catalog.claim(worker) for worker in ("a", "b", "c", "d")]
    assert [task and task.id for task in claimed] == [*(task.id for task in tasks), None]
    first = claimed[0]
    assert first is not None
    assert (first.worker, first.step, first.attempts, first.token) == ("a", "receiving", 1, tasks[0].token + 1)
    assert str(uuid.UUID(first.staged_key)) == first.staged_key
    assert first.source == URL
    assert catalog.image(first.image_id).status == "importing"


def test_a_worker_that_comes_late_to_a_task_takes_nothing_from_the_one_that_has_it(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(catalog)
    owned = catalog.claim("a")
    assert owned is not None
    # What a worker reads first is older than what it reads next: another may have claimed the task in between.
    seen = Claimable(owned.id, owned.image_id, owned.token, owned.attempts, needs=None, verdict=None, declared=None)
    monkeypatch.setattr(leases, "oldest", lambda _connection, _wanted: seen)
    assert catalog.claim("b") is None
    assert catalog.activate(make_ready(catalog, owned)).status == "active"


def test_a_worker_claims_only_the_methods_it_names(catalog: Catalog) -> None:
    download(catalog)
    assert catalog.claim("a", methods=["copy-image"]) is None
    assert catalog.claim("a", methods=["copy-image", "web-download"]) is not None


def test_a_lease_lasts_twenty_seconds_on_the_clock_of_the_database(catalog: Catalog) -> None:
    download(catalog)
    with catalog._database.read() as connection:
        earliest = connection.execute(select(database_time(20))).scalar_one()
    task = catalog.claim("a")
    with catalog._database.read() as connection:
        latest = connection.execute(select(database_time(20))).scalar_one()
    assert task is not None
    assert task.lease_until is not None
    assert earliest <= task.lease_until <= latest
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", latest)
    seconds = datetime.fromisoformat(latest) - datetime.now(UTC)
    assert 15 < seconds.total_seconds() <= 21, "the database of this machine has this machine's clock"
    assert catalog.dead_tasks() == []


def test_a_dead_worker_is_seen_and_its_late_steps_change_nothing(catalog: Catalog) -> None:
    download(catalog)
    old = catalog.claim("a")
    assert old is not None
    with pytest.raises(Conflict, match="the lease of its worker lasts"):
        catalog.take_over(old, "b")
    assert catalog.release_worker("a") == 1
    assert [task.id for task in catalog.dead_tasks()] == [old.id]
    new = catalog.take_over(old, "b")
    assert (new.worker, new.token, new.staged_key) == ("b", old.token + 1, old.staged_key)
    assert catalog.dead_tasks() == []
    assert lost(catalog.take_over, old, "c")
    assert lost(catalog.progress, old, 5)
    assert lost(make_ready, catalog, old)
    assert lost(catalog.fail, old, outcome="undecided", code="late", message="late")
    assert lost(catalog.release, old)
    assert not catalog.is_current(old)
    assert catalog.is_current(new)
    waiting = catalog.release(new)
    assert (waiting.step, waiting.worker, waiting.lease_until) == ("waiting", None, None)
    again = catalog.claim("c")
    assert again is not None
    assert (again.attempts, again.id) == (2, old.id)
    assert again.staged_key != old.staged_key


def test_the_leases_of_all_processes_of_a_killed_service_end_at_once(catalog: Catalog) -> None:
    for name in ("host-1_a-x", "host-1_a-y", "host-1xa-z", "host-1_b-x"):
        download(catalog)
        assert catalog.claim(name) is not None
    assert catalog.release_group("host-1_a-") == 2
    assert {task.worker for task in catalog.dead_tasks()} == {"host-1_a-x", "host-1_a-y"}


def test_a_heartbeat_renews_the_named_leases_of_one_worker(catalog: Catalog) -> None:
    for _ in range(4):
        download(catalog)
    mine = [task.id for task in (catalog.claim("a"), catalog.claim("a")) if task is not None]
    forgotten, other = catalog.claim("a"), catalog.claim("b")
    assert forgotten is not None
    assert other is not None
    assert catalog.release_worker("a") == 3
    assert catalog.release_worker("b") == 1
    assert catalog.hold("a", [*mine, other.id]) == 2
    assert {task.id for task in catalog.dead_tasks()} == {forgotten.id, other.id}
    assert {catalog.task(task).worker for task in mine} == {"a"}
    assert catalog.hold("nobody", mine) == 0
    assert catalog.hold("a", []) == 0


def test_an_upload_is_handed_over_by_its_token(catalog: Catalog) -> None:
    image = catalog.create_image(name="x")
    request = ImportRequest()
    door = catalog.begin_upload(image.id, method="glance-direct", plan=PLAN, worker="door", request=request)
    worker = catalog.take(door.id, door.token, "w")
    assert (worker.worker, worker.step, worker.attempts) == ("w", "receiving", 1)
    assert worker.staged_key != door.staged_key
    assert lost(catalog.take, door.id, door.token, "w")
    assert lost(record_staged, catalog, door)
    assert record_staged(catalog, worker).step == "staged"
    with pytest.raises(NotFound):
        catalog.take(image.id, 1, "w")


def test_a_spooled_upload_waits_with_its_bytes(catalog: Catalog) -> None:
    image = catalog.create_image(name="x")
    request = ImportRequest()
    door = catalog.begin_upload(image.id, method="glance-direct", plan=PLAN, worker="door", request=request)
    with pytest.raises(BadValue, match="cannot wait"):
        catalog.release(door)
    waiting = catalog.release(door, source={"spool": door.staged_key})
    assert (waiting.step, waiting.source) == ("waiting", {"spool": door.staged_key})
    worker = catalog.claim("w")
    assert worker is not None
    assert catalog.staged_keys() == {door.id, door.staged_key, worker.staged_key}
    draining = catalog.release(worker, undo_attempt=True)
    assert (draining.attempts, draining.source) == (0, {"spool": door.staged_key})
    again = catalog.claim("w2")
    assert again is not None
    assert record_staged(catalog, again).verdict == "accepted"
    assert catalog.image(image.id).status == "uploading"


def test_a_dead_worker_of_accepted_bytes_leaves_them_to_be_published(catalog: Catalog) -> None:
    download(catalog)
    claimed = catalog.claim("a")
    assert claimed is not None
    ready = make_ready(catalog, claimed)
    catalog.release_worker("a")
    (dead,) = catalog.dead_tasks()
    assert (dead.step, dead.staged_key) == ("publishing", ready.staged_key)
    taken = catalog.take_over(dead, "b")
    assert lost(catalog.activate, ready)
    assert catalog.activate(taken).status == "active"
    assert catalog.staged_keys() == set()


def test_the_command_line_recovers_its_own_imports_only(catalog: Catalog) -> None:
    alone = begin(catalog, catalog.create_image(name="x").id)
    download(catalog)
    claimed = catalog.claim("a")
    download(catalog)
    catalog.release_worker("a")
    assert claimed is not None
    assert [task.id for task in catalog.unfinished()] == [alone.id]
    assert [task.id for task in catalog.dead_tasks()] == [claimed.id]


def test_a_finished_task_has_no_worker(catalog: Catalog) -> None:
    for end in ("activate", "fail", "cancel", "delete"):
        download(catalog)
        task = catalog.claim("a")
        assert task is not None
        if end == "activate":
            catalog.activate(make_ready(catalog, task))
        elif end == "fail":
            catalog.fail(task, outcome="refused", code="no", message="no")
        elif end == "cancel":
            catalog.cancel(task.id, message="no")
        else:
            catalog.delete(task.image_id)
        ended = catalog.task(task.id)
        assert (ended.step, ended.worker, ended.lease_until) == ("done", None, None)
    assert catalog.hold("a", [task.id for task in catalog.all_tasks()]) == 0
