"""What workers do about open uploads: those of a door that died stay, those whose clients never came back end."""

import os
import time
from pathlib import Path

import pytest

from douane.catalog import ImportRequest, Task
from douane.catalog.open_source import CLIENT
from douane.imports import Home
from douane.imports.service_stores import ServiceStore, Stores
from douane.imports.settings import StoreSettings
from douane.imports.settling import Settling
from support.catalog import PLAN


@pytest.fixture
def home(tmp_path: Path):
    opened = Home(tmp_path / "home")
    yield opened
    opened.close()


@pytest.fixture
def settling(home: Home, tmp_path: Path) -> Settling:
    place = ServiceStore("file", home.store, StoreSettings(url=f"file:{tmp_path}/home/store"))
    return Settling(home.catalog, Stores((place,), "file"), "worker-1")


def begin(home: Home, seconds: float) -> Task:
    """An open upload with three bytes."""
    image = home.catalog.create_image(name="x")
    request = ImportRequest()
    task = home.catalog.begin_upload(image.id, method="upload", plan=PLAN, worker="door", request=request)
    assert task.staged_key is not None
    staged = home.store.stage(task.staged_key)
    os.write(staged.fd, b"abc")
    staged.keep(3)
    staged.close()
    return home.catalog.open_upload(task, offset=3, length=9, seconds=seconds)


def test_an_upload_whose_door_died_waits_for_its_client_again(home: Home, settling: Settling) -> None:
    task = begin(home, seconds=600)
    home.catalog.take_upload(task.id, "door")
    home.catalog.release_worker("door")
    assert settling.settle_dead_tasks() == 1
    current = home.catalog.task(task.id)
    assert (current.worker, current.lease_until, current.done, current.outcome) == (CLIENT, task.lease_until, 3, None)
    settling.delete_remnants()
    home.store.resume(current.staged_key, 3).close()
    assert settling.settle_dead_tasks() == 0


def test_an_upload_whose_client_never_came_back_ends_and_frees_its_bytes(home: Home, settling: Settling) -> None:
    task = begin(home, seconds=0)
    time.sleep(0.002)
    assert settling.settle_dead_tasks() == 1
    ended = home.catalog.task(task.id)
    assert (ended.outcome, ended.code) == ("cancelled", "expired")
    assert home.catalog.image(task.image_id).status == "queued"
    assert list(home.store.staged_keys()) == []


def test_an_upload_whose_door_died_after_its_time_ends(home: Home, settling: Settling) -> None:
    task = begin(home, seconds=0)
    home.catalog.take_upload(task.id, "door")
    home.catalog.release_worker("door")
    time.sleep(0.002)
    settling.settle_dead_tasks()
    settling.settle_dead_tasks()
    assert home.catalog.task(task.id).code == "expired"


def test_an_import_on_the_command_line_leaves_open_uploads_alone(home: Home) -> None:
    task = begin(home, seconds=600)
    home.recover()
    assert home.catalog.task(task.id) == task
    assert list(home.store.staged_keys()) == [task.staged_key]
