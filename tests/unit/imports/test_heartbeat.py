"""The heartbeats of workers and doors: the lease of what is worked on lasts, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane.api.metrics import Metrics
from douane.api.pool import Pool
from douane.api.transfer.uploads import UploadPlace, Uploads
from douane.catalog import Catalog, ImportRequest, Task
from douane.imports.heartbeat import Heartbeat, Identity
from douane.stores import open_store
from support.catalog import PLAN
from support.waiting import until


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "catalog.sqlite3") as opened:
        yield opened


def held_by(catalog: Catalog, holder: str) -> Task:
    """A task whose lease has ended; its holder has not noticed."""
    image = catalog.create_image(name="x")
    task = catalog.begin_upload(image.id, method="upload", plan=PLAN, worker=holder, request=ImportRequest())
    catalog.release_worker(holder)
    return task


def dead(catalog: Catalog) -> set[str]:
    return {task.id for task in catalog.dead_tasks()}


def test_a_worker_does_not_hold_a_task_whose_end_it_could_not_record(catalog: Catalog) -> None:
    unrecorded, current = held_by(catalog, "w"), held_by(catalog, "w")
    heartbeat = Heartbeat(catalog, Identity(name="w"), seconds=0.01)
    try:
        with heartbeat.working(current.id):
            until("the lease is renewed", lambda: current.id not in dead(catalog))
            assert dead(catalog) == {unrecorded.id}
    finally:
        heartbeat.close()


def test_a_door_does_not_hold_a_task_whose_end_it_could_not_record(catalog: Catalog, tmp_path: Path) -> None:
    unrecorded, current = held_by(catalog, "door"), held_by(catalog, "door")
    store = open_store(f"file:{tmp_path / 'store'}")
    place = UploadPlace(holder="door", workers=tmp_path / "workers", wake=tmp_path / "wake", store=store, store_id="a")
    pool = Pool()

    async def receive() -> None:
        uploads = Uploads(catalog, place, pool, pool, Metrics(catalog, 1))
        with uploads.holding(current):
            while current.id in dead(catalog):
                await asyncio.sleep(0.01)

    try:
        asyncio.run(receive())
    finally:
        pool.close()
    assert dead(catalog) == {unrecorded.id}


def test_a_worker_joins_and_joins_again_when_it_is_forgotten(catalog: Catalog) -> None:
    reached = ["a"]
    heartbeat = Heartbeat(catalog, Identity(name="w", host="one"), lambda: reached, seconds=0.01)
    try:
        until("it has joined", lambda: [worker.stores for worker in catalog.workers()] == [["a"]])
        reached.append("b")
        until("it says what it reaches", lambda: [worker.stores for worker in catalog.workers()] == [["a", "b"]])
        catalog.release_worker("w")  # a supervisor that was mistaken
        until("it has joined again", lambda: [worker.host for worker in catalog.workers()] == ["one"])
        catalog.cordon("one")
        until("it knows that it is cordoned", lambda: heartbeat.is_halted)
        catalog.uncordon("one")
        until("it knows that it is not", lambda: not heartbeat.is_halted)
    finally:
        heartbeat.close()
