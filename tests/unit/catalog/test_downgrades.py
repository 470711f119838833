"""Migrations down: the tables are those of the older release again, and what it knows is still there."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect

from douane.catalog import Catalog, ImportRequest
from douane.catalog import database as database_module
from douane.catalog.database import Database
from douane.catalog.mariadb_migration import BASELINE
from douane.catalog.migrate import upgrade
from douane.catalog.revisions import downgrade
from douane.errors import CatalogError
from support.catalog import PLAN, begin, make_ready

HEAD = int(database_module.HEAD)
OLDER = [f"{number:04}" for number in range(HEAD - 1, 0, -1)]


def at_revision(place: str, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new catalog of this revision."""
    with monkeypatch.context() as older:
        older.setattr(database_module, "HEAD", revision)
        Database(place, migrate=partial(upgrade, revision=revision)).close()


def bring_down(place: str, revision: str) -> None:
    downgrade(place, revision)


def never_was(place: str, revision: str) -> bool:
    """No release had this revision in this database."""
    return place.startswith("mysql") and revision < BASELINE


def structure(place: str) -> dict[str, Any]:
    """Tables with columns, keys, checks and indexes, in no order. How text is compared stays."""
    engine = create_engine(place.replace("psycopg2", "psycopg") if "://" in place else f"sqlite:///{place}")
    inspector = inspect(engine)
    tables = {
        name: {
            "columns": sorted(
                (column["name"], str(column["type"]).partition(" COLLATE")[0], column["nullable"])
                for column in inspector.get_columns(name)
            ),
            "key": sorted(inspector.get_pk_constraint(name)["constrained_columns"]),
            "foreign": sorted(key["referred_table"] for key in inspector.get_foreign_keys(name)),
            "checks": sorted(str(check["name"]) for check in inspector.get_check_constraints(name)),
            "indexes": sorted(
                (str(index["name"]), str(index.get("expressions") or index["column_names"]))
                for index in inspector.get_indexes(name)
            ),
        }
        for name in inspector.get_table_names()
    }
    engine.dispose()
    return tables


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression")
@pytest.mark.parametrize("revision", OLDER)
def test_the_tables_are_those_of_the_older_release(
    empty_database: str, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    if never_was(empty_database, revision):
        Catalog(empty_database).close()
        with pytest.raises(CatalogError, match="no older release can use it"):
            bring_down(empty_database, revision)
        return
    at_revision(empty_database, revision, monkeypatch)
    older = structure(empty_database)
    Catalog(empty_database).close()
    newest = structure(empty_database)
    assert newest != older
    bring_down(empty_database, revision)
    assert structure(empty_database) == older
    Catalog(empty_database).close()
    assert structure(empty_database) == newest


@pytest.mark.parametrize("revision", OLDER)
def test_images_survive_the_way_down_and_up(database: str, revision: str) -> None:
    with Catalog(database) as catalog:
        image = catalog.create_image(name="kept", properties={"a": "b"})
        catalog.activate(make_ready(catalog, begin(catalog, image.id)), ["file"])
    bring_down(database, BASELINE if never_was(database, revision) else revision)
    with Catalog(database) as catalog:
        (again,) = catalog.images()
        assert (again.name, again.status, again.size, again.stores) == ("kept", "active", 5, ["file"])
        assert again.properties["a"] == "b"
        assert catalog.create_image(name="new").status == "queued"


def test_an_import_that_an_older_release_does_not_know_is_not_lost(database: str) -> None:
    request = ImportRequest(stores=("file",))
    with Catalog(database) as catalog:
        image = catalog.create_image(name="x")
        source = {"url": "http://x"}
        task = catalog.begin_queued(image.id, method="web-download", plan=PLAN, request=request, source=source)
    reason = "no older release" if never_was(database, "0002") else "imports that wait for a worker"
    with pytest.raises(CatalogError, match=reason):
        bring_down(database, "0002")
    with Catalog(database) as catalog:
        assert catalog.task(task.id).step == "waiting"


def test_where_the_bytes_are_is_not_forgotten(database: str) -> None:
    with Catalog(database) as catalog:
        image = catalog.create_image(name="x")
        catalog.activate(make_ready(catalog, begin(catalog, image.id)), ["ceph"])
    reason = "no older release" if never_was(database, "0001") else "images in several stores"
    with pytest.raises(CatalogError, match=reason):
        bring_down(database, "0001")
    with Catalog(database) as catalog:
        assert catalog.image(image.id).stores == ["ceph"]
