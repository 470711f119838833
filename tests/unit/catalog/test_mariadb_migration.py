"""Migrations in MariaDB, whose changes of tables are no transaction: killed at every statement, and in two at once."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql

from douane.catalog import Catalog, database, mariadb_migration
from douane.catalog.database import Database
from douane.catalog.mariadb_migration import BASELINE
from douane.catalog.migrate import MIGRATIONS, upgrade
from douane.catalog.revisions import downgrade
from douane.errors import CatalogError
from support.catalog import dies_at
from support.catalog_servers import on
from support.glance.mariadb import MariaDb
from support.sizes import ALL

pytestmark = pytest.mark.libraries

LATER = f"{int(database.HEAD) + 1:04}"
LATER_MIGRATION = f"""
import sqlalchemy as sa
from alembic import op

revision = "{LATER}"
down_revision = "{database.HEAD}"
COLOURS = sa.table("colours", sa.column("name", sa.String), sa.column("words", sa.Text))


def upgrade():
    op.add_column("images", sa.Column("colour", sa.String(16), server_default="grey"))
    op.create_table(
        "colours",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("words", sa.Text, nullable=False),
        sa.CheckConstraint("name <> 'none'", name="known_colour"),
    )
    op.create_index("colours_by_words", "colours", [sa.text("words(32)")])
    op.bulk_insert(COLOURS, [{{"name": "grey", "words": "first"}}, {{"name": "Grey", "words": "second"}}])
    op.execute("UPDATE images SET colour = 'blue' WHERE name = 'sea'")
    op.drop_index("images_by_min_disk", "images")
"""


@pytest.fixture(autouse=True)
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was killed holds the migration for so long."""
    monkeypatch.setattr(mariadb_migration, "LEASE_SECONDS", 0.4)
    monkeypatch.setattr(mariadb_migration, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(mariadb_migration, "POLL_SECONDS", 0.02)


@pytest.fixture
def unmade(mariadb: MariaDb) -> Iterator[Callable[[], str]]:
    """Makes databases without tables."""
    names: list[str] = []

    def make() -> str:
        names.append(f"unmade-{len(names)}")
        return mariadb.create(names[-1])

    yield make
    for name in names:
        mariadb.drop(name)


def structure(url: str) -> dict[str, str]:
    engine = create_engine(url)
    with engine.connect() as connection:
        names = connection.execute(text("SHOW TABLES")).scalars().all()
        tables = {name: connection.execute(text(f"SHOW CREATE TABLE `{name}`")).one()[1] for name in names}
    engine.dispose()
    return tables


def statements(body: Callable[[], None]) -> int:
    """How many statements it executes."""
    count = 0

    def add(*_: object) -> None:
        nonlocal count
        count += 1

    event.listen(Engine, "before_cursor_execute", add)
    try:
        body()
    finally:
        event.remove(Engine, "before_cursor_execute", add)
    return count


def numbers(count: int) -> range:
    """At which statements to kill: all, or some four."""
    return range(count) if ALL else range(3, count, max(count // 4, 1))


def test_a_catalog_whose_making_was_killed_at_any_statement_is_made_by_the_next_process(
    unmade: Callable[[], str],
) -> None:
    complete = unmade()
    count = statements(lambda: Catalog(complete).close())
    expected = structure(complete)
    for number in numbers(count):
        url = unmade()
        assert dies_at(number, lambda url=url: Catalog(url).close())
        with Catalog(url) as catalog:
            catalog.create_image(name="x")
        assert structure(url) == expected


def later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """What opens a catalog with a later release."""
    directory = folder / "later"
    shutil.copytree(MIGRATIONS, directory, ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "versions" / f"r{LATER}_colours.py").write_text(LATER_MIGRATION)
    monkeypatch.setattr(database, "HEAD", LATER)
    return lambda url: Database(url, migrate=partial(upgrade, directory=directory)).close()


def test_a_migration_that_was_killed_at_any_statement_is_completed_by_the_next_process(
    unmade: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make() -> str:
        url = unmade()
        with monkeypatch.context() as earlier:
            earlier.setattr(database, "HEAD", f"{int(LATER) - 1:04}")
            with Catalog(url) as catalog:
                catalog.create_image(name="sea")
                catalog.create_image(name="sky")
        return url

    migrate = later(tmp_path, monkeypatch)
    complete = make()
    count = statements(lambda: migrate(complete))
    for number in numbers(count):
        url = make()
        assert dies_at(number, lambda url=url: migrate(url))
        migrate(url)
        assert structure(url) == structure(complete)
        engine = create_engine(url)
        with engine.connect() as connection:
            colours = connection.execute(text("SELECT name, words FROM colours ORDER BY name")).all()
            assert colours == [("Grey", "second"), ("grey", "first")]
            images = connection.execute(text("SELECT name, colour FROM images ORDER BY name")).all()
            assert images == [("sea", "blue"), ("sky", "grey")]
            assert connection.execute(text("SELECT version_num FROM alembic_version")).all() == [(LATER,)]
        engine.dispose()
    assert "longtext" in structure(complete)["colours"]
    assert "utf8mb4_nopad_bin" in structure(complete)["colours"]
    assert "images_by_min_disk" not in structure(complete)["images"]


def test_a_catalog_whose_way_back_was_killed_at_any_statement_is_that_of_this_release_again(
    unmade: Callable[[], str],
) -> None:
    def make() -> str:
        url = unmade()
        Catalog(url).close()
        return url

    complete = make()
    expected = structure(complete)
    count = statements(lambda: downgrade(complete, BASELINE))
    for number in numbers(count):
        url = make()
        assert dies_at(number, lambda url=url: downgrade(url, BASELINE))
        with Catalog(url) as catalog:
            catalog.create_image(name="x")
            assert catalog.workers() == []
        assert structure(url) == expected


@pytest.mark.parametrize("word", [" locks ", "CREATE TABLE IF NOT EXISTS tags", "INSERT IGNORE INTO alembic_version"])
def test_a_migration_that_another_node_was_faster_than_is_taken_again(
    unmade: Callable[[], str], monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    execute = MySQLDialect_pymysql.do_execute
    attempts: Counter[str] = Counter()

    def conflict(self, cursor, statement, parameters, context=None) -> None:
        attempts[statement] += 1
        if word in statement and "CREATE TABLE IF NOT EXISTS locks" not in statement and attempts[statement] == 1:
            raise pymysql.err.OperationalError(1213, "WSREP: no")
        execute(self, cursor, statement, parameters, context)

    monkeypatch.setattr(MySQLDialect_pymysql, "do_execute", conflict)
    with Catalog(unmade()) as catalog:
        assert catalog.images() == []
    assert any(word in statement and count > 1 for statement, count in attempts.items())


def test_a_process_that_was_stopped_while_another_one_migrated_changes_nothing_more(
    mariadb: MariaDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mariadb_migration, "BEAT_SECONDS", 3600)  # as if it were stopped
    with on(mariadb) as url:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with (
            pytest.raises(CatalogError, match="another process migrates the catalog now") as caught,
            mariadb_migration.one_at_a_time(engine) as stopped,
        ):
            with mariadb_migration.one_at_a_time(engine) as connection:
                connection.exec_driver_sql("CREATE TABLE mine (id BIGINT PRIMARY KEY)")
            stopped.exec_driver_sql("DROP TABLE mine")
        engine.dispose()
        assert caught.value.code == "catalog-busy"
        assert "mine" in structure(url)


def test_a_statement_that_takes_longer_than_the_lease_keeps_others_waiting(mariadb: MariaDb) -> None:
    with on(mariadb) as url:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with mariadb_migration.one_at_a_time(engine) as connection:
            connection.exec_driver_sql("SELECT SLEEP(1.2)")
            with engine.connect() as second:
                assert not mariadb_migration._take(second, "other")
        with engine.connect() as second:
            assert mariadb_migration._take(second, "other")
        engine.dispose()
