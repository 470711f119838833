"""Workers of several machines: what a task needs, who is cordoned, whose a store is, and chores."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from douane.catalog import Catalog, ImportRequest, Task
from douane.catalog.clock import LEASE_SECONDS, database_time
from douane.catalog.leases import RELEASED
from douane.catalog.needs import can_run, needs_text
from douane.catalog.port import TaskQueue
from douane.catalog.records import time_text
from douane.catalog.schema import chores, marks, tasks, workers
from douane.catalog.workers import SEEN_SECONDS, SILENCE_SECONDS
from douane.errors import Conflict
from support.catalog import PLAN, begin, make_ready, record_staged


def join(catalog: Catalog, name: str, host: str = "one", stores: list[str] | None = None) -> str:
    return catalog.join(name, host=host, pid=7, version="1.0", stores=stores)


def queue(catalog: Catalog, *stores: str, method: str = "web-download", source: object = None) -> Task:
    image = catalog.create_image(name="x")
    if method == "copy-image":
        catalog.activate(make_ready(catalog, begin(catalog, image.id)), ["a"])
    elif source is None:
        source = {"url": "http://x"}
    request = ImportRequest(stores=stores)
    return catalog.begin_queued(image.id, method=method, plan=PLAN, request=request, source=source)


def upload(catalog: Catalog, method: str = "upload", *stores: str) -> Task:
    image = catalog.create_image(name="x")
    request = ImportRequest(stores=stores)
    return catalog.begin_upload(image.id, method=method, plan=PLAN, worker="door", request=request)  # type: ignore[arg-type]


def claimed(catalog: Catalog, reached: list[str] | None) -> str | None:
    task = catalog.claim("w", reached=reached)
    return None if task is None else task.id


def let_pass(catalog: Catalog, seconds: float, *, beats: bool) -> None:
    """The database's clock, `seconds` later: leases and heartbeats are so much older. `beats`: others' still came."""
    aging = [tasks.c.lease_until, chores.c.lease_until, chores.c.due_at, *([] if beats else [workers.c.seen_at])]
    with catalog._database.write() as connection:
        for column in aging:
            (key,) = column.table.primary_key
            for name, text in connection.execute(select(key, column).where(column.is_not(None))).all():
                if text != RELEASED:
                    earlier = datetime.fromisoformat(text) - timedelta(seconds=seconds)
                    change = update(column.table).where(key == name).values({column.name: time_text(earlier)})
                    connection.execute(change)


def let_grace_end(catalog: Catalog, seconds: float = 0.0) -> None:
    """The grace lasts another `seconds`."""
    with catalog._database.write() as connection:
        connection.execute(update(marks).where(marks.c.name == "grace_until").values(value=database_time(seconds)))


# -- needs


@pytest.mark.parametrize(
    ("staged", "to", "reached", "fits"),
    [
        (["a"], ["b"], ["a", "b"], True),
        (["a"], ["b"], ["b"], False),
        (["a"], ["b"], ["a"], False),
        (["a", "c"], ["b"], ["b", "c"], True),
        ([], ["b", "c"], ["b"], False),
        ([], ["b", "c"], ["c", "b", "x"], True),
        ([], [], [], True),
    ],
)
def test_a_worker_reaches_a_store_with_the_bytes_and_all_that_are_written(
    staged: list[str], to: list[str], reached: list[str], fits: bool
) -> None:
    assert can_run(needs_text(staged, to), reached) == fits
    assert can_run(needs_text(staged, to), None)
    assert needs_text(reversed(staged), [*to, *to]) == needs_text(staged, to)


def test_a_download_goes_to_a_worker_that_reaches_all_its_stores(catalog: Catalog) -> None:
    task = queue(catalog, "a", "b")
    assert claimed(catalog, ["a"]) is None
    assert claimed(catalog, ["b", "a"]) == task.id


def test_a_copy_goes_to_a_worker_that_reaches_a_store_with_the_image(catalog: Catalog) -> None:
    task = queue(catalog, "a", "b", method="copy-image")
    assert claimed(catalog, ["b"]) is None
    assert claimed(catalog, ["a", "b"]) == task.id


def test_a_kept_upload_goes_to_a_worker_that_reaches_its_bytes(catalog: Catalog) -> None:
    task = upload(catalog, "upload", "b")
    catalog.release(task, source={"spool": task.staged_key, "store": "a"})
    assert claimed(catalog, ["b"]) is None
    assert claimed(catalog, ["a", "b"]) == task.id


def test_an_upload_that_is_staged_needs_its_bytes_only(catalog: Catalog) -> None:
    task = upload(catalog, "glance-direct", "b", "c")
    catalog.release(task, source={"spool": task.staged_key, "store": "a"})
    assert claimed(catalog, ["b", "c"]) is None
    assert claimed(catalog, ["a"]) == task.id


def test_staged_bytes_go_to_a_worker_that_reaches_one_of_the_stores_that_have_them(catalog: Catalog) -> None:
    task = record_staged(catalog, upload(catalog, "glance-direct", "a", "b"), store="a", further_stores=["b"])
    common = {"plan": PLAN, "worker": "door"}
    catalog.request_import(task.image_id, request=ImportRequest(stores=("c",)), **common)
    assert claimed(catalog, ["a", "b"]) is None
    assert claimed(catalog, ["c"]) is None
    assert claimed(catalog, ["b", "c"]) == task.id


def test_a_location_is_read_where_it_lies(catalog: Catalog) -> None:
    location = {"location": {"url": "file:///x", "store": "a"}}
    task = queue(catalog, "b", method="location-import", source=location)
    assert claimed(catalog, ["b"]) is None
    assert claimed(catalog, ["a", "b"]) == task.id


def test_what_a_worker_cannot_run_does_not_keep_it_from_later_tasks(catalog: Catalog) -> None:
    foreign = [queue(catalog, store) for store in ("a", "b", "c", "a", "b")]
    mine = queue(catalog, "d")
    assert claimed(catalog, ["d"]) == mine.id
    assert claimed(catalog, ["d"]) is None
    assert [claimed(catalog, None) for _ in foreign] == [task.id for task in foreign]


def test_a_task_of_an_earlier_release_is_run_by_any_worker(catalog: Catalog) -> None:
    task = queue(catalog, "a")
    with catalog._database.write() as connection:
        connection.execute(update(tasks).values(needs=None))
    assert claimed(catalog, ["z"]) == task.id


def test_needs_are_those_of_the_time_at_which_a_task_waits_again(catalog: Catalog) -> None:
    task = queue(catalog, "b", "c", method="copy-image")
    mine = catalog.claim("w", reached=["a", "b", "c"])
    assert mine is not None
    catalog.add_store(task.image_id, "c")
    catalog.release(mine)
    assert claimed(catalog, ["c"]) is None
    assert claimed(catalog, ["c", "b"]) == task.id


# -- workers


def test_the_workers_of_all_machines_are_listed_with_what_they_run(catalog: Catalog) -> None:
    assert join(catalog, "w", stores=["b", "a"]) == "active"
    join(catalog, "v", host="another")
    task = queue(catalog, "a")
    assert claimed(catalog, None) == task.id
    second, first = catalog.workers()
    assert (first.host, first.name, first.pid, first.version) == ("one", "w", 7, "1.0")
    assert (first.state, first.stores, first.tasks) == ("active", ["a", "b"], [task.id])
    assert (second.host, second.stores, second.tasks) == ("another", None, [])
    catalog.release_worker("w")
    assert [worker.name for worker in catalog.workers()] == ["v"]


def test_a_worker_that_is_silent_is_not_listed_and_then_forgotten(catalog: Catalog) -> None:
    join(catalog, "w")
    let_pass(catalog, SEEN_SECONDS + 1, beats=False)
    assert catalog.workers() == []
    assert catalog.beat("w") == "active"
    assert [worker.name for worker in catalog.workers()] == ["w"]
    let_pass(catalog, 4000, beats=False)
    assert catalog.forget_workers() == 1
    assert catalog.beat("w") is None, "it has to join again"


def test_a_cordoned_machine_claims_nothing(catalog: Catalog) -> None:
    task = queue(catalog, "a")
    join(catalog, "w")
    join(catalog, "v", host="another")
    assert catalog.cordon("one") == 1
    assert catalog.cordon("one") == 1
    assert (catalog.beat("w"), catalog.beat("v")) == ("cordoned", "active")
    assert claimed(catalog, None) is None
    assert catalog.uncordon("one") == 1
    assert catalog.beat("w") == "active"
    assert claimed(catalog, None) == task.id


def test_a_cordon_outlives_the_worker(catalog: Catalog) -> None:
    join(catalog, "w")
    catalog.cordon("one")
    catalog.release_worker("w")
    assert catalog.beat("w") is None
    assert join(catalog, "w2") == "cordoned"
    assert join(catalog, "x", host="another") == "active"
    assert catalog.cordoned_places() == ["one"]
    catalog.uncordon("one")
    assert join(catalog, "w3") == "active"


def test_a_worker_of_a_cordoned_machine_stays_cordoned_when_its_own_cordon_goes(catalog: Catalog) -> None:
    join(catalog, "w")
    catalog.cordon("one")
    catalog.cordon("w")
    catalog.uncordon("w")
    assert catalog.beat("w") == "cordoned"
    catalog.uncordon("one")
    assert catalog.beat("w") == "active"


def test_a_worker_says_that_it_is_drained_only_while_it_is_cordoned(catalog: Catalog) -> None:
    join(catalog, "w")
    assert not catalog.drained("w")
    catalog.cordon("w")
    assert catalog.drained("w")
    assert catalog.workers()[0].state == "drained"
    queue(catalog, "a")
    assert claimed(catalog, None) is None
    catalog.uncordon("w")
    assert claimed(catalog, None) is not None


# -- a database that was away


def test_leases_that_end_while_others_live_are_taken(catalog: Catalog) -> None:
    queue(catalog, "a")
    join(catalog, "w")
    task = catalog.claim("w")
    assert task is not None
    let_pass(catalog, LEASE_SECONDS + 1, beats=True)
    let_grace_end(catalog)
    assert [dead.id for dead in catalog.dead_tasks()] == [task.id]
    assert catalog.take_over(task, "v").worker == "v"


@pytest.mark.parametrize(("seconds", "is_dead"), [(LEASE_SECONDS - 1, False), (LEASE_SECONDS + 60, True)])
def test_a_grace_from_before_the_clock_was_set_back_is_over(catalog: Catalog, seconds: float, is_dead: bool) -> None:
    queue(catalog, "a")
    join(catalog, "w")
    assert catalog.claim("w") is not None
    let_pass(catalog, LEASE_SECONDS + 1, beats=True)
    let_grace_end(catalog, seconds)
    assert bool(catalog.dead_tasks()) == is_dead


def test_leases_that_ended_while_the_database_was_away_are_not_taken_at_once(catalog: Catalog) -> None:
    queue(catalog, "a")
    join(catalog, "w")
    join(catalog, "v", host="another")
    task = catalog.claim("w")
    assert task is not None
    let_grace_end(catalog)
    let_pass(catalog, LEASE_SECONDS + 60, beats=False)
    assert catalog.dead_tasks() == [], "nobody's heartbeat came"
    catalog.beat("v")
    assert catalog.dead_tasks() == [], "its worker has the time of a lease to come back"
    with pytest.raises(Conflict):
        catalog.take_over(task, "v")
    assert catalog.hold("w", [task.id]) == 1
    let_grace_end(catalog)
    assert catalog.dead_tasks() == []


def test_a_worker_that_does_not_come_back_after_the_database_loses_its_task(catalog: Catalog) -> None:
    queue(catalog, "a")
    join(catalog, "w")
    join(catalog, "v", host="another")
    task = catalog.claim("w")
    assert task is not None
    let_pass(catalog, LEASE_SECONDS + 60, beats=False)
    catalog.beat("v")
    let_grace_end(catalog)
    assert [dead.id for dead in catalog.dead_tasks()] == [task.id]


def test_a_worker_that_joins_does_not_hide_that_the_database_was_away(catalog: Catalog) -> None:
    queue(catalog, "a")
    join(catalog, "w")
    task = catalog.claim("w")
    assert task is not None
    let_grace_end(catalog)
    let_pass(catalog, SILENCE_SECONDS + LEASE_SECONDS, beats=False)
    join(catalog, "v")
    assert catalog.dead_tasks() == []


def test_a_lease_whose_worker_is_known_to_be_gone_has_no_grace(catalog: Catalog) -> None:
    queue(catalog, "a")
    join(catalog, "w")
    task = catalog.claim("w")
    assert task is not None
    let_pass(catalog, LEASE_SECONDS + 60, beats=False)
    catalog.release_worker("w")
    assert [dead.id for dead in catalog.dead_tasks()] == [task.id]
    assert catalog.take_over(task, "v").worker == "v"


# -- identities and chores


def test_the_first_identity_of_a_store_stays(catalog: Catalog) -> None:
    assert catalog.know_store("a", "one") == "one"
    assert catalog.know_store("a", "another") == "one"
    assert catalog.store_identities() == {"a": "one"}
    assert catalog.forget_store("a")
    assert not catalog.forget_store("a")
    assert catalog.know_store("a", "another") == "another"


def test_a_chore_is_done_by_one_worker_when_it_is_due(catalog: Catalog) -> None:
    catalog.add_chores(["sweep", "expiry"])
    catalog.add_chores(["sweep"])
    assert catalog.take_chore("sweep", "a", lease_s=60)
    assert not catalog.take_chore("sweep", "b", lease_s=60)
    assert catalog.take_chore("expiry", "b", lease_s=60)
    assert catalog.finish_chore("sweep", "a", again_in_s=30)
    assert not catalog.take_chore("sweep", "b", lease_s=60), "it is not due"
    let_pass(catalog, 31, beats=True)
    assert catalog.take_chore("sweep", "b", lease_s=60)


def test_a_chore_whose_worker_died_is_done_by_another(catalog: Catalog) -> None:
    catalog.add_chores(["sweep"])
    catalog.take_chore("sweep", "a", lease_s=60)
    let_pass(catalog, 61, beats=True)
    assert catalog.take_chore("sweep", "b", lease_s=60)
    assert not catalog.finish_chore("sweep", "a", again_in_s=0)
    assert not catalog.take_chore("sweep", "c", lease_s=60)


def test_a_chore_that_nobody_knows_is_nobodys(catalog: Catalog) -> None:
    assert not catalog.take_chore("unknown", "a", lease_s=60)


# -- another queue


def test_another_scheduler_runs_imports_by_the_five_methods_of_the_port(catalog: Catalog) -> None:
    queue_of_the_site: TaskQueue = catalog
    first, second, third = queue(catalog, "a"), queue(catalog, "b"), queue(catalog, "a")
    offered = queue_of_the_site.waiting()
    assert [task.id for task in offered] == [first.id, second.id, third.id]
    assert [can_run(task.needs, ["a"]) for task in offered] == [True, False, True]
    task = queue_of_the_site.claim("t", task_id=third.id, reached=["a"])
    assert task is not None and task.id == third.id
    assert queue_of_the_site.claim("t", task_id=third.id) is None, "it was started twice"
    assert queue_of_the_site.claim("t", task_id=second.id, reached=["a"]) is None
    assert queue_of_the_site.hold("t", [third.id]) == 1
    queue_of_the_site.release(task, undo_attempt=True)
    assert queue_of_the_site.hold("t", [third.id]) == 0
    again = queue_of_the_site.claim("u", task_id=third.id)
    assert again is not None and (again.token, again.attempts) == (task.token + 1, 1)
    with pytest.raises(Conflict):
        queue_of_the_site.fail(task, outcome="undecided", code="late", message="an old token")
    queue_of_the_site.fail(again, outcome="undecided", code="given-up", message="the scheduler gave it up")
    assert [task.id for task in queue_of_the_site.waiting()] == [first.id, second.id]
