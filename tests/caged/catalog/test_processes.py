"""Concurrent processes and killed processes: one owner, no partial change, nothing lost."""

import os
import sqlite3
from pathlib import Path

import douane.catalog.migrate  # noqa: F401 Alembic is imported once, and not by each process that is killed
from douane.catalog import Catalog
from douane.errors import Conflict
from support.catalog import begin, dies_at, edit, make_ready
from support.processes import concurrently
from support.sizes import ALL


def test_one_of_several_concurrent_begins_wins(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog(path) as catalog:
        image_ids = [catalog.create_image(name=str(n)).id for n in range(10)]

    def race() -> None:
        with Catalog(path) as mine:
            for image_id in image_ids:
                try:
                    task = begin(mine, image_id)
                except Conflict as error:
                    assert (error.code, error.actual) == ("wrong-state", "importing")
                else:
                    mine.note(task, message=str(os.getpid()))

    assert concurrently([race] * 6) == [0] * 6
    with Catalog(path) as catalog:
        assert [len(catalog.tasks(image_id)) for image_id in image_ids] == [1] * 10
        assert all(task.message for task in catalog.unfinished())


def test_one_of_several_concurrent_takeovers_wins(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog(path) as catalog:
        task = begin(catalog, catalog.create_image(name="x").id)
    won = tmp_path / "won"

    def race() -> None:
        with Catalog(path) as mine:
            try:
                mine.take_over(task)
            except Conflict as error:
                assert error.code == "lost-task"
            else:
                with won.open("a") as file:
                    file.write("won\n")

    assert concurrently([race] * 6) == [0] * 6
    assert won.read_text() == "won\n"
    with Catalog(path) as catalog:
        assert catalog.task(task.id).token == task.token + 1


def test_several_processes_open_a_new_catalog_at_once(tmp_path: Path) -> None:
    for attempt in range(4):
        path = tmp_path / str(attempt) / "catalog.sqlite"

        def first(path: Path = path) -> None:
            with Catalog(path) as mine:
                mine.create_image(name="x")

        assert concurrently([first] * 8) == [0] * 8
        with Catalog(path) as catalog:
            assert len(catalog.images()) == 8


def test_concurrent_imports_only_wait_for_each_other(tmp_path: Path) -> None:
    """Half of them are accepted, half refused; none gets the error that the catalog is busy."""
    path = tmp_path / "catalog.sqlite"
    Catalog(path).close()

    def worker() -> None:
        with Catalog(path) as mine:
            for count in range(20):
                task = mine.take_over(begin(mine, mine.create_image(name="x").id))
                if count % 2:
                    make_ready(mine, task)
                    mine.activate(task)
                else:
                    mine.fail(task, outcome="refused", code="no", message="no")

    assert concurrently([worker] * 4) == [0] * 4
    with Catalog(path) as catalog:
        assert len(catalog.images(status="active")) == len(catalog.images(status="queued")) == 40
        assert catalog.unfinished() == []


def test_edits_during_an_import_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog(path) as catalog:
        image_id = catalog.create_image(name="x").id

    def tenant(who: str) -> None:
        with Catalog(path) as mine:
            for count in range(25):
                edit(mine, image_id, set_properties={f"{who}{count}": "1"}, remove_properties=[f"{who}{count - 1}"])

    def worker() -> None:
        with Catalog(path) as mine:
            task = begin(mine, image_id)
            for count in range(25):
                mine.progress(task, count)
            make_ready(mine, task)
            mine.activate(task)

    assert concurrently([lambda: tenant("a"), lambda: tenant("b"), worker]) == [0] * 3
    with Catalog(path) as catalog:
        image = catalog.image(image_id)
        assert (image.status, image.size) == ("active", 5)
        assert image.properties == {"a24": "1", "b24": "1", "format.seen": "qcow2"}


def test_an_import_killed_at_any_statement_can_be_completed(tmp_path: Path) -> None:
    """SIGKILL before every statement and commit of an import, then the recovery of the next start."""
    instant, ends = 0, []
    while True:
        path = tmp_path / f"{instant}.sqlite"
        with Catalog(path) as catalog:
            image_id = catalog.create_image(name="x", properties={"mine": "1"}).id
        died = dies_at(instant, lambda: _import(path, image_id))  # noqa: B023 it runs at once
        with Catalog(path) as catalog:
            ends.append(_recover(catalog, image_id, died))
        if not died:
            break
        instant += 1
    assert set(ends) == {"queued", "requeued", "finished", "active"}, "and every stage there is"
    order = [ends.index(end) for end in ("queued", "requeued", "finished", "active")]
    assert order == sorted(order)


def _import(path: Path, image_id: str) -> None:
    with Catalog(path) as catalog:
        task = begin(catalog, image_id)
        catalog.progress(task, 1, 2)
        edit(catalog, image_id, changes={"name": "edited"})
        make_ready(catalog, task)
        catalog.activate(task)


def _recover(catalog: Catalog, image_id: str, died: bool) -> str:
    """Recover, and return what that took; the final state is always one that a tenant can act on."""
    image = catalog.image(image_id)
    tasks = catalog.unfinished()
    assert image.properties["mine"] == "1"
    if image.status == "active":
        assert tasks == []
        assert (image.size, image.name, image.properties["format.seen"]) == (5, "edited", "qcow2")
        return "active"
    assert died
    assert image.size is None
    assert "format.seen" not in image.properties
    if image.status == "queued":
        assert tasks == []
        return "queued"
    (task,) = tasks
    assert (image.status, image.task_id) == ("importing", task.id)
    mine = catalog.take_over(task)
    if mine.step == "receiving":
        ended = catalog.fail(mine, outcome="undecided", code="engine-died", message="the engine was killed")
        assert (ended.status, ended.code) == ("queued", "engine-died")
        return "requeued"
    ended = catalog.activate(mine)
    assert (ended.status, ended.size, ended.name) == ("active", 5, "edited")
    return "finished"


def test_a_failure_killed_at_any_statement_can_be_completed(tmp_path: Path) -> None:
    for on_failure, end in (("requeue", "queued"), ("remove", "deleted")):
        instant, died = 0, True
        while died:
            path = tmp_path / f"{on_failure}{instant}.sqlite"
            with Catalog(path) as catalog:
                image_id = catalog.create_image(name="x").id
                task = begin(catalog, image_id, on_failure)
            died = dies_at(instant, lambda: _fail(path, task))  # noqa: B023 it runs at once
            with Catalog(path) as catalog:
                status = catalog.image(image_id).status
                assert status in (("importing", end) if died else (end,))
                assert (catalog.unfinished() == []) == (status == end)
                for unfinished in catalog.unfinished():
                    catalog.fail(catalog.take_over(unfinished), outcome="refused", code="no", message="no")
                assert (catalog.image(image_id).status, catalog.image(image_id).code) == (end, "no")
            instant += 1
        assert instant > 5


def _fail(path: Path, task) -> None:
    with Catalog(path) as catalog:
        catalog.fail(task, outcome="refused", code="no", message="no")


def test_a_catalog_whose_creation_was_killed_can_be_opened(tmp_path: Path) -> None:
    instant, died = 0, True
    while died:
        path = tmp_path / str(instant) / "catalog.sqlite"
        died = dies_at(instant, lambda: Catalog(path).close())  # noqa: B023 it runs at once
        with Catalog(path) as catalog:
            assert catalog.image(catalog.create_image(name="x").id).status == "queued"
        instant += 1 if ALL else 3
    assert instant > 8, "the kills hit every statement"


def test_a_catalog_whose_upgrade_was_killed_can_be_opened(tmp_path: Path) -> None:
    oldest = (Path(__file__).parents[2] / "unit/catalog/databases/0001.sql").read_text()
    instant, died = 0, True
    while died:
        path = tmp_path / f"{instant}.sqlite"
        with sqlite3.connect(path) as connection:
            connection.executescript(oldest)
        died = dies_at(instant, lambda: Catalog(path).close())  # noqa: B023 it runs at once
        with Catalog(path) as catalog:
            assert {image.name for image in catalog.images()} == {"waiting", "moving", "in", "asleep"}
        instant += 1 if ALL else 16
    assert instant > 50, "the kills hit every migration"
