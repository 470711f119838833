"""Imports that wait, copies, cancellation, expiry, and the list of tasks."""

import uuid
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from douane.catalog import Catalog, ImportRequest, Task
from douane.catalog.schema import tasks
from douane.errors import CatalogError, Conflict, NotFound
from support.catalog import PLAN, begin, make_ready, record_staged


def active(catalog: Catalog) -> str:
    return catalog.activate(make_ready(catalog, begin(catalog, catalog.create_image(name="x").id))).id


def copy(catalog: Catalog, image_id: str, *stores: str) -> Task:
    request = ImportRequest(stores=stores or ("ceph",))
    return catalog.begin_queued(image_id, method="copy-image", plan=PLAN, request=request)


def claimed_copy(catalog: Catalog, image_id: str, *stores: str) -> Task:
    copy(catalog, image_id, *stores)
    task = catalog.claim("w")
    assert task is not None
    return task


def staged(catalog: Catalog) -> Task:
    image = catalog.create_image(name="x")
    request = ImportRequest()
    task = catalog.begin_upload(image.id, method="glance-direct", plan=PLAN, worker="door", request=request)
    return record_staged(catalog, task)


def test_an_image_stays_active_while_it_is_copied(catalog: Catalog) -> None:
    image_id = active(catalog)
    task = claimed_copy(catalog, image_id, "ceph", "s3")
    image = catalog.image(image_id)
    assert (image.status, image.task_id, image.stores) == ("active", task.id, ["file"])
    with pytest.raises(Conflict, match="works on it"):
        copy(catalog, image_id)
    catalog.deactivate(image_id)
    catalog.reactivate(image_id)
    done = catalog.finish_copy(task, ["ceph"], ["s3"], code="store-io", message="s3 is away")
    assert (done.status, done.task_id, done.stores) == ("active", None, ["ceph", "file"])
    assert (done.failed_stores, done.code, done.message) == (["s3"], "store-io", "s3 is away")
    assert catalog.task(task.id).outcome == "accepted"
    again = claimed_copy(catalog, image_id, "s3")
    assert catalog.image(image_id).failed_stores == []
    with pytest.raises(Conflict):
        catalog.finish_copy(task, ["x"])
    assert catalog.finish_copy(again, [], ["s3"]).stores == ["ceph", "file"]
    assert catalog.task(again.id).outcome == "undecided"


def test_a_copy_that_fails_leaves_the_image_active(catalog: Catalog) -> None:
    image_id = active(catalog)
    task = claimed_copy(catalog, image_id)
    image = catalog.fail(task, outcome="undecided", code="store-io", message="away", failed_stores=["ceph"])
    assert (image.status, image.stores, image.failed_stores, image.task_id) == ("active", ["file"], ["ceph"], None)
    assert image.size == 5


def test_a_deleted_image_ends_its_copying(catalog: Catalog) -> None:
    image_id = active(catalog)
    task = claimed_copy(catalog, image_id)
    catalog.delete(image_id)
    with pytest.raises(Conflict) as caught:
        catalog.finish_copy(task, ["ceph"])
    assert caught.value.code == "lost-task"
    assert catalog.image(image_id).stores == ["file"]


def test_only_an_active_image_is_copied_and_only_a_queued_image_imported(catalog: Catalog) -> None:
    queued = catalog.create_image(name="x")
    with pytest.raises(Conflict, match="it is queued, and must be active"):
        copy(catalog, queued.id)
    with pytest.raises(Conflict, match="it is active, and must be queued"):
        catalog.begin_queued(active(catalog), method="web-download", plan=PLAN, request=ImportRequest())


@pytest.mark.parametrize("by", ["task", "image"])
def test_a_cancelled_import_leaves_the_image_queued(catalog: Catalog, by: str) -> None:
    image = catalog.create_image(name="x")
    request = ImportRequest(stores=("a", "b"))
    catalog.begin_queued(image.id, method="web-download", plan=PLAN, source={"url": "http://x"}, request=request)
    task = catalog.claim("w")
    assert task is not None
    ended = catalog.cancel(task.id if by == "task" else image.id, message="the operator cancelled it")
    assert (ended.outcome, ended.code, ended.message) == ("cancelled", "cancelled", "the operator cancelled it")
    after = catalog.image(image.id)
    assert (after.status, after.task_id, after.failed_stores) == ("queued", None, ["a", "b"])
    assert not catalog.is_current(task)
    for call in (
        lambda: catalog.progress(task, 7),
        lambda: make_ready(catalog, task),
        lambda: catalog.fail(task, outcome="undecided", code="late", message="late"),
        lambda: catalog.fail(ended, outcome="undecided", code="late", message="late") and catalog.activate(task),
    ):
        with pytest.raises(Conflict) as caught:
            call()
        assert caught.value.code == "lost-task"
    assert catalog.task(task.id) == ended
    with pytest.raises(Conflict):
        catalog.cancel(task.id, message="again")
    with pytest.raises(Conflict, match="no import"):
        catalog.cancel(image.id, message="again")
    again = catalog.begin_queued(image.id, method="web-download", plan=PLAN, source={}, request=request)
    assert again.token > ended.token


def test_staged_data_and_copies_can_be_cancelled_but_not_an_accepted_import(catalog: Catalog) -> None:
    upload = staged(catalog)
    catalog.cancel(upload.image_id, message="no")
    image = catalog.image(upload.image_id)
    assert (image.status, image.size, image.failed_stores) == ("queued", None, [])
    image_id = active(catalog)
    copy(catalog, image_id)
    catalog.cancel(image_id, message="no")
    assert catalog.image(image_id).status == "active"
    assert catalog.image(image_id).task_id is None
    ready = make_ready(catalog, begin(catalog, catalog.create_image(name="x").id))
    with pytest.raises(Conflict, match="is being published"):
        catalog.cancel(ready.id, message="no")
    assert catalog.task(ready.id) == ready
    assert catalog.activate(ready).status == "active"
    with pytest.raises(NotFound):
        catalog.cancel(str(uuid.uuid4()), message="no")


def test_staged_data_expires_unless_its_import_is_requested(catalog: Catalog) -> None:
    old, requested, fresh = staged(catalog), staged(catalog), staged(catalog)
    with catalog._database.write() as connection:
        aged = update(tasks).where(tasks.c.id != fresh.id)
        connection.execute(aged.values(updated_at="2026-01-01T00:00:00.000000Z"))
    assert {task.id for task in catalog.expired_staged(3600)} == {old.id, requested.id}
    expired = {task.id: task for task in catalog.expired_staged(3600)}
    catalog.request_import(requested.image_id, request=ImportRequest(), plan=PLAN, worker="door")
    image = catalog.fail(expired[old.id], outcome="cancelled", code="expired", message="nobody imported it")
    assert (image.status, image.code) == ("queued", "expired")
    with pytest.raises(Conflict):
        catalog.fail(expired[requested.id], outcome="cancelled", code="expired", message="nobody imported it")
    assert catalog.image(requested.image_id).status == "importing"
    assert catalog.expired_staged(3600) == []


def test_staged_data_of_a_machine_whose_clock_is_wrong_does_not_expire_at_once(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("douane.catalog.states.now", lambda: "2020-01-01T00:00:00.000000Z")
    task = staged(catalog)
    assert catalog.expired_staged(3600) == []
    ended = catalog.fail(catalog.task(task.id), outcome="cancelled", code="expired", message="nobody imported it")
    assert ended.status == "queued"
    assert catalog.task(task.id).updated_at > "2021"


def test_records_of_ended_tasks_are_removed_after_their_time(catalog: Catalog) -> None:
    def ended(expires_at: str | None) -> str:
        image = catalog.create_image(name="x")
        task = catalog.begin_import(
            image.id, method="x", plan=PLAN, on_failure="requeue", request=ImportRequest(expires_at=expires_at)
        )
        catalog.fail(task, outcome="refused", code="no", message="no")
        return task.id

    past, future, never = "2026-01-01T00:00:00Z", "2999-01-01T00:00:00Z", None
    ids = {expires_at: ended(expires_at) for expires_at in (past, future, never)}
    running = catalog.begin_import(
        catalog.create_image(name="x").id,
        method="x",
        plan=PLAN,
        on_failure="requeue",
        request=ImportRequest(expires_at=past),
    )
    assert catalog.remove_ended() == 1
    with pytest.raises(NotFound):
        catalog.task(ids[past])
    assert catalog.remove_ended(datetime(2999, 1, 2, tzinfo=UTC)) == 1
    assert {task.id for task in catalog.all_tasks()} == {ids[never], running.id}


def test_tasks_are_searched_by_outcome_code_and_text(catalog: Catalog) -> None:
    def ended(name: str | None, code: str, message: str) -> str:
        image = catalog.create_image(name=name)
        request = ImportRequest(request_id=f"req-{code}")
        task = catalog.begin_import(image.id, method="x", plan=PLAN, on_failure="requeue", request=request)
        catalog.fail(task, outcome="refused" if code == "bad" else "undecided", code=code, message=message)
        return task.id

    bad, slow = ended("Über 100%_a", "bad", "a backing file"), ended(None, "slow", "too SLOW")

    def search(**filters: str) -> list[str]:
        return [task.id for task in catalog.all_tasks(**filters)]  # type: ignore[arg-type]

    assert search(outcome="refused") == search(code="bad") == [bad]
    assert search(outcome="refused", code="slow") == []
    for text in ("100%_", "BACKING", "backing file", "req-bad", bad[:10], catalog.task(bad).image_id):
        assert search(search=text) == [bad], text
    assert search(search="slow") == [slow]
    assert search(search="_") == [bad]
    assert search(search="100%x") == search(search="eq-bad") == search(search="%a") == []


def test_all_tasks_are_listed_in_pages(catalog: Catalog) -> None:
    request = ImportRequest(owner="p")
    ids = [
        catalog.begin_queued(
            catalog.create_image(name=str(n)).id, method="web-download", plan=PLAN, source={"url": "x"}, request=request
        ).id
        for n in range(5)
    ]
    hidden = staged(catalog)
    claimed = catalog.claim("w")
    assert claimed is not None
    catalog.activate(make_ready(catalog, claimed))
    newest = catalog.all_tasks()
    assert [task.id for task in newest] == ids[::-1]
    assert [(task.plan, task.report) for task in newest] == [(None, None)] * 5
    assert [task.id for task in catalog.all_tasks(limit=2, marker=ids[3])] == [ids[2], ids[1]]
    assert [task.id for task in catalog.all_tasks(limit=2, marker=ids[3], descending=False)] == [ids[4]]
    assert [task.id for task in catalog.all_tasks(status="success")] == [ids[0]]
    assert [task.id for task in catalog.all_tasks(status="pending")] == ids[:0:-1]
    assert catalog.all_tasks(status="failure") == catalog.all_tasks(status="processing") == []
    assert len(catalog.all_tasks(owner="p", method="web-download", image_id=claimed.image_id)) == 1
    assert catalog.all_tasks(owner="another") == []
    assert hidden.id in {task.id for task in catalog.all_tasks(requested_only=False)}
    for bad in ({"status": "gone"}, {"marker": str(uuid.uuid4())}, {"limit": -1}):
        with pytest.raises(CatalogError):
            catalog.all_tasks(**bad)
