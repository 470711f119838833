"""Recovery by the command line in the home of a running server: the server's tasks and bytes stay."""

import os
import uuid
from pathlib import Path

import pytest

from douane.catalog import ImportRequest, Task
from douane.imports import Home
from support.catalog import PLAN, make_ready, record_staged


@pytest.fixture
def home(tmp_path: Path):
    opened = Home(tmp_path / "home")
    yield opened
    opened.close()


def stage(home: Home, key: str | None) -> str:
    """Bytes whose process is gone: nobody claims them."""
    assert key is not None
    staged = home.store.stage(key)
    os.write(staged.fd, b"12345")
    staged.finish(5)
    staged.close()
    return key


def upload(home: Home) -> Task:
    image = home.catalog.create_image(name="x")
    request = ImportRequest()
    return home.catalog.begin_upload(image.id, method="glance-direct", plan=PLAN, worker="door", request=request)


def test_the_tasks_of_a_server_keep_their_bytes_at_every_step(home: Home) -> None:
    catalog = home.catalog
    receiving, spooled, staged, ready = (upload(home) for _ in range(4))
    kept = {stage(home, task.staged_key) for task in (receiving, spooled, staged, ready)}
    tasks = [
        receiving,
        catalog.release(spooled, source={"spool": spooled.staged_key}),
        record_staged(catalog, staged),
    ]
    record_staged(catalog, ready)
    tasks.append(catalog.request_import(ready.image_id, request=ImportRequest(), plan=PLAN, worker="door"))
    catalog.release_worker("door")  # even after the end of a lease, the server's own workers settle its tasks
    tasks = [catalog.task(task.id) for task in tasks]
    assert {task.step for task in tasks} == {"receiving", "waiting", "staged", "publishing"}
    assert home.recover() == []
    assert set(home.store.staged_keys()) == kept
    assert [catalog.task(task.id) for task in tasks] == tasks


def test_bytes_that_no_task_uses_are_swept(home: Home) -> None:
    stage(home, str(uuid.uuid4()))
    ended = upload(home)
    stage(home, ended.staged_key)
    home.catalog.fail(ended, outcome="undecided", code="cut", message="cut")
    given_up = upload(home)
    stage(home, given_up.staged_key)
    home.catalog.take(given_up.id, given_up.token, "w")
    assert home.recover() == []
    assert list(home.store.staged_keys()) == []


def test_an_import_of_the_command_line_is_undone_beside_a_server(home: Home) -> None:
    server = upload(home)
    for accepted in (False, True):
        task_id = stage(home, str(uuid.uuid4()))
        _, task = home.catalog.begin_new_import(task_id=task_id, method="file", plan=PLAN, on_failure="remove")
        if accepted:
            make_ready(home.catalog, task)
    ended = home.recover()
    assert [home.catalog.task(task.id).outcome for task in ended] == ["undecided", "accepted"]
    assert home.catalog.task(server.id) == server
