"""Recurring work of idle workers: done by one of all, and only where it reaches the stores."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from douane.catalog import Catalog, ImportRequest, Task
from douane.catalog.schema import tasks as task_rows
from douane.imports.chores import Chores
from douane.imports.service_stores import Stores, open_stores
from douane.imports.settings import parse_settings
from douane.imports.settling import Settling
from support.catalog import PLAN, make_ready


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "catalog.sqlite3") as opened:
        yield opened


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    table = {"stores": {"a": {"url": f"file:{tmp_path}/a", "default": True}, "b": {"url": f"file:{tmp_path}/b"}}}
    return open_stores(parse_settings(table, where="test", base="/"))


def settling_of(catalog: Catalog, stores: Stores, worker: str, *reached: str) -> Settling:
    return Settling(catalog, stores, worker, reached=lambda: reached)


def chores_of(catalog: Catalog, stores: Stores, worker: str, *reached: str, expiry: float = 3600.0) -> Chores:
    settling = settling_of(catalog, stores, worker, *reached)
    return Chores(catalog, stores, settling, worker, expiry, lambda: reached)


def leave_bytes(stores: Stores, *ids: str) -> None:
    for store_id in ids:
        stores.by_id(store_id).store.stage(str(uuid.uuid4())).close()


def staged(stores: Stores) -> list[str]:
    return [place.id for place in stores for _ in place.store.staged_keys()]


def queue(catalog: Catalog, *stores: str) -> Task:
    image = catalog.create_image(name="x")
    request = ImportRequest(stores=stores)
    return catalog.begin_queued(image.id, method="web-download", plan=PLAN, request=request, source={"url": "http://x"})


def test_a_worker_sweeps_the_stores_that_it_reaches(catalog: Catalog, stores: Stores) -> None:
    leave_bytes(stores, "a", "b")
    chores_of(catalog, stores, "w", "a").run_due()
    assert staged(stores) == ["b"]
    chores_of(catalog, stores, "v", "a", "b").run_due()
    assert staged(stores) == []


def test_what_was_done_is_not_done_again_by_another_until_it_is_due(catalog: Catalog, stores: Stores) -> None:
    chores_of(catalog, stores, "w", "a", "b").run_due()
    leave_bytes(stores, "a", "b")
    chores_of(catalog, stores, "v", "a", "b").run_due()
    assert staged(stores) == ["a", "b"]
    catalog.hasten_chores()
    chores_of(catalog, stores, "v", "a", "b").run_due()
    assert staged(stores) == []


def test_a_chore_that_another_does_is_left_to_it(catalog: Catalog, stores: Stores) -> None:
    leave_bytes(stores, "a", "b")
    mine = chores_of(catalog, stores, "w", "a", "b")
    catalog.add_chores(["sweep:a"])
    assert catalog.take_chore("sweep:a", "another", lease_s=60)
    mine.run_due()
    assert staged(stores) == ["a"]


def test_copies_of_deleted_images_are_deleted_where_they_are_reached(catalog: Catalog, stores: Stores) -> None:
    image = catalog.create_image(name="x")
    task = make_ready(catalog, catalog.begin_import(image.id, method="direct", plan=PLAN, on_failure="requeue"))
    for place in stores:
        written = place.store.stage(str(uuid.uuid4()))
        written.finish(5)
        place.store.publish(written, image.id)
    catalog.activate(task, ["a", "b"])
    catalog.delete(image.id)
    settling_of(catalog, stores, "w", "a").delete_copies_of_deleted()
    assert [place.id for place in stores if place.store.exists(image.id)] == ["b"]
    settling_of(catalog, stores, "v", "b").delete_copies_of_deleted()
    assert not any(place.store.exists(image.id) for place in stores)


def wait_for_a_day(catalog: Catalog) -> None:
    with catalog._database.write() as connection:
        connection.execute(update(task_rows).values(updated_at="2026-01-01T00:00:00.000Z"))


def test_an_import_that_no_worker_can_run_ends_after_its_time(catalog: Catalog, stores: Stores) -> None:
    stranded, possible = queue(catalog, "b"), queue(catalog, "a")
    catalog.join("w", host="one", pid=1, version="1", stores=["a"])
    settling = settling_of(catalog, stores, "w", "a")
    settling.end_stranded(3600.0)
    assert catalog.task(stranded.id).outcome is None, "its time has not come"
    wait_for_a_day(catalog)
    settling.end_stranded(3600.0)
    ended = catalog.task(stranded.id)
    assert (ended.outcome, ended.code) == ("undecided", "no-worker")
    assert catalog.image(stranded.image_id).status == "queued"
    assert catalog.task(possible.id).outcome is None


def test_an_import_waits_for_a_machine_that_is_cordoned(catalog: Catalog, stores: Stores) -> None:
    task = queue(catalog, "b")
    catalog.join("v", host="two", pid=1, version="1", stores=["b"])
    catalog.cordon("two")
    wait_for_a_day(catalog)
    settling_of(catalog, stores, "w", "a").end_stranded(3600.0)
    assert catalog.task(task.id).outcome is None


def test_an_accepted_image_is_left_to_a_worker_that_reaches_its_stores(catalog: Catalog, stores: Stores) -> None:
    queue(catalog, "b")
    task = catalog.claim("dead")
    assert task is not None and task.staged_key is not None
    written = stores.by_id("b").store.stage(task.staged_key)
    written.finish(5)
    written.close()
    make_ready(catalog, task)
    catalog.release_worker("dead")
    assert settling_of(catalog, stores, "w", "a").settle_dead_tasks() == 0
    assert catalog.task(task.id).outcome is None
    assert settling_of(catalog, stores, "v", "b").settle_dead_tasks() == 1
    assert catalog.image(task.image_id).stores == ["b"]
