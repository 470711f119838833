"""Edits, tags, members and copies by several processes at once: every rule holds for what is in the catalog then."""

import os
from pathlib import Path

from douane.catalog import Catalog
from douane.catalog.query import Quotas, SetField, SetProperty
from douane.errors import CatalogError, Conflict, OverQuota
from support.catalog import begin, dies_at, edit, make_ready
from support.processes import concurrently


def test_concurrent_requests_together_do_not_exceed_a_quota(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog(path) as catalog:
        image_ids = [catalog.create_image(name=str(n)).id for n in range(5)]

    def race() -> None:
        me = str(os.getpid())
        with Catalog(path) as mine:
            for image_id in image_ids:
                for call in (
                    lambda image_id=image_id: mine.add_member(image_id, me, Quotas(members=3)),
                    lambda image_id=image_id: mine.add_tag(image_id, me, Quotas(tags=3)),
                    lambda image_id=image_id: mine.edit(image_id, [SetProperty(me, "1")], Quotas(properties=3)),
                ):
                    try:
                        call()
                    except OverQuota:
                        continue

    assert concurrently([race] * 6) == [0] * 6
    with Catalog(path) as catalog:
        for image_id in image_ids:
            image = catalog.image(image_id)
            assert (len(image.tags), len(image.properties), len(catalog.members(image_id))) == (3, 3, 3)


def test_a_property_that_must_be_absent_is_added_once(tmp_path: Path) -> None:
    path, won = tmp_path / "catalog.sqlite", tmp_path / "won"
    with Catalog(path) as catalog:
        image_ids = [catalog.create_image(name=str(n)).id for n in range(10)]

    def race() -> None:
        me = str(os.getpid())
        with Catalog(path) as mine:
            for image_id in image_ids:
                try:
                    mine.edit(image_id, [SetField("name", me), SetProperty("lock", me, present=False)])
                except Conflict as error:
                    assert error.code == "property-exists"
                else:
                    with won.open("a") as file:
                        file.write(f"{image_id} {me}\n")

    assert concurrently([race] * 6) == [0] * 6
    winners = dict(line.split() for line in won.read_text().splitlines())
    with Catalog(path) as catalog:
        assert len(won.read_text().splitlines()) == 10
        for image_id in image_ids:
            image = catalog.image(image_id)
            assert (image.name, image.properties) == (winners[image_id], {"lock": winners[image_id]})


def test_of_two_copies_the_last_stays(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog(path) as catalog:
        image_ids = []
        for n in range(10):
            task = begin(catalog, catalog.create_image(name=str(n)).id)
            make_ready(catalog, task)
            image_ids.append(catalog.activate(task, ["a", "b"]).id)

    def remove(store: str) -> None:
        with Catalog(path) as mine:
            for image_id in image_ids:
                try:
                    mine.remove_store(image_id, store)
                except Conflict as error:
                    assert error.code == "last-copy"

    assert concurrently([lambda: remove("a"), lambda: remove("b")]) == [0, 0]
    with Catalog(path) as catalog:
        assert [len(catalog.image(image_id).stores) for image_id in image_ids] == [1] * 10


def test_an_edit_that_is_killed_at_any_statement_changes_all_or_nothing(tmp_path: Path) -> None:
    killed = 0
    while True:
        path = tmp_path / str(killed) / "catalog.sqlite"
        with Catalog(path) as catalog:
            image = catalog.create_image(name="before", properties={"a": "1", "b": "1"}, tags=["old"])

        def change(path: Path = path, image_id: str = image.id) -> None:
            with Catalog(path) as mine:
                edit(mine, image_id, {"name": "after"}, set_properties={"a": "2"}, remove_properties=["b"])

        died = dies_at(killed, change)
        with Catalog(path) as catalog:
            now = catalog.image(image.id)
            assert (now.name, now.properties) in (("before", {"a": "1", "b": "1"}), ("after", {"a": "2"}))
        if not died:
            break
        killed += 1
    assert killed > 5, "it was killed at several statements"
    assert now.name == "after"


def test_an_image_that_is_protected_at_the_same_time_is_deleted_or_protected(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog(path) as catalog:
        image_ids = [catalog.create_image(name=str(n)).id for n in range(20)]

    def attempt(protect: bool) -> None:
        with Catalog(path) as mine:
            for image_id in image_ids:
                try:
                    if protect:
                        mine.edit(image_id, [SetField("protected", True)])
                    else:
                        mine.delete(image_id)
                except CatalogError as error:
                    assert error.code == ("wrong-state" if protect else "protected")

    assert concurrently([lambda: attempt(True), lambda: attempt(False)]) == [0, 0]
    with Catalog(path) as catalog:
        for image_id in image_ids:
            image = catalog.image(image_id)
            assert image.protected != (image.status == "deleted")
