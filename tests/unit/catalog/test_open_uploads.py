"""Open uploads: their bytes arrive in several requests, at several doors, and their clients may be away in between."""

import time

import pytest

from douane.catalog import Catalog, ImportRequest, Task, UploadQuotas
from douane.catalog.open_source import CLIENT, expiry_of, is_open, was_never_complete
from douane.errors import Conflict, NotFound, OverQuota
from support.catalog import PLAN

REQUEST = ImportRequest(owner="p", stores=("file",))
DAY = 86_400.0


def begin(catalog: Catalog, method: str = "upload", **arguments: object) -> Task:
    image = catalog.create_image(name="x", disk_format="raw", container_format="bare", owner="p")
    return catalog.begin_upload(image.id, method=method, plan=PLAN, worker="door-1", request=REQUEST, **arguments)


def opened(catalog: Catalog, method: str = "upload", offset: int = 0, length: int | None = 100) -> Task:
    task = begin(catalog, method)
    return catalog.open_upload(task, offset=offset, length=length, seconds=DAY)


@pytest.mark.parametrize("method", ["upload", "glance-direct"])
def test_an_open_upload_waits_for_its_client_and_keeps_its_bytes(catalog: Catalog, method: str) -> None:
    task = opened(catalog, method, offset=7)
    assert is_open(task)
    assert (task.step, task.worker, task.done, task.total) == ("receiving", CLIENT, 7, 100)
    assert task.lease_until == expiry_of(task)
    assert catalog.dead_tasks() == []
    assert catalog.staged_keys() == {task.id, task.staged_key}
    assert catalog.unfinished_by_step() == {"open": 1}
    assert catalog.claim("worker") is None
    catalog.release_group("door")
    assert catalog.dead_tasks() == []


def test_the_later_request_wins_and_the_earlier_records_nothing_more(catalog: Catalog) -> None:
    task = opened(catalog)
    first = catalog.take_upload(task.id, "door-1")
    assert catalog.record_offset(first, 10, seconds=DAY).done == 10
    second = catalog.take_upload(task.id, "door-2")
    assert (second.done, second.staged_key, second.worker) == (10, task.staged_key, "door-2")
    for change in (
        lambda: catalog.record_offset(first, 20, seconds=DAY),
        lambda: catalog.leave_upload(first),
        lambda: catalog.release(first, source={"spool": first.staged_key}),
    ):
        with pytest.raises(Conflict) as caught:
            change()
        assert caught.value.code == "lost-task"
    assert catalog.holdings("door-1") == set()
    assert catalog.holdings("door-2") == {task.id}
    assert catalog.leave_upload(second).worker == CLIENT
    assert catalog.task(task.id).done == 10


def test_only_bytes_prolong_the_time_of_an_open_upload(catalog: Catalog) -> None:
    task = opened(catalog)
    current = catalog.take_upload(task.id, "door")
    returned = catalog.leave_upload(current)
    assert returned.lease_until == task.lease_until
    current = catalog.take_upload(task.id, "door")
    prolonged = catalog.record_offset(current, 5, seconds=2 * DAY)
    assert catalog.leave_upload(prolonged).lease_until == expiry_of(prolonged) > expiry_of(task)
    current = catalog.take_upload(task.id, "door")
    assert catalog.leave_upload(current).lease_until == expiry_of(prolonged)


def test_a_complete_upload_waits_for_a_worker_and_takes_no_more(catalog: Catalog) -> None:
    task = catalog.take_upload(opened(catalog).id, "door")
    task = catalog.record_offset(task, 100, length=100, seconds=DAY)
    waiting = catalog.release(task, source={"spool": task.staged_key})
    assert (waiting.step, waiting.total) == ("waiting", 100)
    with pytest.raises(Conflict) as caught:
        catalog.take_upload(task.id, "door")
    assert caught.value.actual == "waiting"
    claimed = catalog.claim("worker")
    assert claimed is not None and claimed.staged_key != task.staged_key
    assert {task.staged_key, claimed.staged_key} <= catalog.staged_keys()


def test_an_upload_that_was_cancelled_takes_no_more_and_frees_its_image(catalog: Catalog) -> None:
    task = opened(catalog)
    current = catalog.take_upload(task.id, "door")
    ended = catalog.cancel(task.id, message="the owner cancelled it")
    assert was_never_complete(ended) and not is_open(ended)
    assert catalog.image(task.image_id).status == "queued"
    assert catalog.staged_keys() == set()
    with pytest.raises(Conflict):
        catalog.record_offset(current, 5, seconds=DAY)
    with pytest.raises(Conflict):
        catalog.take_upload(task.id, "door")
    with pytest.raises(NotFound):
        catalog.take_upload("00000000-0000-4000-8000-000000000000", "door")


def test_an_upload_without_a_byte_in_time_is_dead(catalog: Catalog) -> None:
    task = catalog.open_upload(begin(catalog), offset=0, length=None, seconds=0.0)
    time.sleep(0.002)
    assert [dead.id for dead in catalog.dead_tasks()] == [task.id]


def test_an_ordinary_upload_is_not_open(catalog: Catalog) -> None:
    task = begin(catalog)
    assert not is_open(task)
    with pytest.raises(Conflict):
        catalog.take_upload(task.id, "door")


@pytest.mark.parametrize("method", ["upload", "glance-direct"])
def test_the_bytes_of_open_uploads_count_as_staged_whatever_was_announced(catalog: Catalog, method: str) -> None:
    task = opened(catalog, method, offset=10, length=None)
    assert catalog.usage("p").staged_total == 10
    quotas = UploadQuotas(staged_total=50)
    current = catalog.take_upload(task.id, "door")
    catalog.record_offset(current, 50, seconds=DAY, quotas=quotas)
    with pytest.raises(OverQuota, match="51 bytes of staged data"):
        catalog.record_offset(current, 51, seconds=DAY, quotas=quotas)
    assert catalog.task(task.id).done == 50
    opened(catalog, method, length=30)
    assert catalog.usage("p").staged_total == 80


def test_an_open_upload_cannot_grow_over_the_quota_of_images(catalog: Catalog) -> None:
    task = catalog.take_upload(opened(catalog, length=None).id, "door")
    with pytest.raises(OverQuota, match="61 bytes of images"):
        catalog.record_offset(task, 61, seconds=DAY, quotas=UploadQuotas(size_total=60))
    catalog.record_offset(task, 60, seconds=DAY, quotas=UploadQuotas(size_total=60))
