"""What only MariaDB does: its tables, its settings, its errors, also those of a cluster, and deadlocks."""

import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import create_engine, make_url, text

from douane.catalog import Catalog, ImportRequest, contention, database, mariadb
from douane.catalog.clock import database_time
from douane.catalog.query import ImageQuery, SortKey
from douane.catalog.schema import metadata
from douane.errors import CatalogError
from support.catalog import PLAN
from support.catalog_servers import on
from support.glance.mariadb import MariaDb
from support.waiting import until

pytestmark = pytest.mark.libraries


@pytest.fixture
def url(mariadb: MariaDb) -> Iterator[str]:
    with on(mariadb) as created:
        yield created


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    with Catalog(url) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(mariadb: MariaDb) -> Iterator[Catalog]:
    """For tests that change nothing."""
    with on(mariadb) as created, Catalog(created) as opened:
        yield opened


def rows(catalog: Catalog, query: str) -> list[tuple]:
    with catalog._database.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def test_all_tables_are_as_a_cluster_needs_them_and_compare_characters_by_their_numbers(shared: Catalog) -> None:
    tables = rows(
        shared,
        "SELECT table_name, engine, table_collation, auto_increment FROM information_schema.tables "
        "WHERE table_schema = DATABASE()",
    )
    assert {row[1:] for row in tables} == {("InnoDB", "utf8mb4_nopad_bin", None)}
    assert {row[0] for row in tables} >= {*metadata.tables, "alembic_version", "locks"}
    keys = rows(
        shared,
        "SELECT table_name FROM information_schema.table_constraints "
        "WHERE constraint_schema = DATABASE() AND constraint_type = 'PRIMARY KEY'",
    )
    assert sorted(keys) == sorted((row[0],) for row in tables)
    columns = rows(
        shared,
        "SELECT data_type, collation_name FROM information_schema.columns "
        "WHERE table_schema = DATABASE() AND collation_name IS NOT NULL",
    )
    assert set(columns) == {("varchar", "utf8mb4_nopad_bin"), ("longtext", "utf8mb4_nopad_bin")}


def test_the_tables_have_the_declared_columns_and_indexes(shared: Catalog) -> None:
    extra_columns = {"images": {"live", "name_key", "size_key", "disk_format_key", "container_format_key", "held"}}
    extra_columns["properties"] = {"value_start"}
    for name, table in metadata.tables.items():
        columns = rows(
            shared,
            "SELECT column_name, is_nullable = 'YES', character_maximum_length FROM information_schema.columns "
            f"WHERE table_schema = DATABASE() AND table_name = '{name}'",
        )
        declared = {
            (column.name, int(bool(column.nullable)), getattr(column.type, "length", None)) for column in table.columns
        }
        actual = {
            (column, nullable, None if length == 4294967295 else length)
            for column, nullable, length in columns
            if column not in extra_columns.get(name, set())
        }
        assert actual == declared
        indexes = rows(shared, f"SHOW INDEX FROM {name}")
        assert {row[2] for row in indexes} - {"PRIMARY"} >= {index.name for index in table.indexes}


def test_connections_do_not_depend_on_the_settings_of_the_server(mariadb: MariaDb, url: str) -> None:
    names = ("sql_mode", "time_zone", "tx_isolation", "character_set_server", "innodb_lock_wait_timeout")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    values = ("", "+05:00", "SERIALIZABLE", "latin1", 1)
    with engine.connect() as connection:
        defaults = [connection.exec_driver_sql(f"SELECT @@GLOBAL.{name}").scalar_one() for name in names]
        try:
            for name, value in zip(names, values, strict=True):
                connection.execute(text(f"SET GLOBAL {name} = :value"), {"value": value})
            with Catalog(url) as catalog:
                image = catalog.create_image(name="\U0001f600")
                assert catalog.image(image.id).name == "\U0001f600"
                for transaction in (catalog._database.read, catalog._database.write):
                    with transaction() as own_connection:
                        modes = own_connection.exec_driver_sql("SELECT @@sql_mode").scalar_one()
                        assert {"STRICT_ALL_TABLES", "SIMULTANEOUS_ASSIGNMENT"} <= set(modes.split(","))
                        assert own_connection.exec_driver_sql("SELECT @@innodb_lock_wait_timeout").scalar_one() == 30
                        clock = own_connection.execute(text("SELECT UTC_TIMESTAMP(3)")).scalar_one()
                        timestamp = own_connection.execute(database_time().select()).scalar_one()
                        later = own_connection.execute(database_time(3600.5).select()).scalar_one()
                        assert abs((clock - _time(timestamp)).total_seconds()) < 60
                        assert 3600 <= (_time(later) - _time(timestamp)).total_seconds() < 3660
        finally:
            for name, value in zip(names, defaults, strict=True):
                connection.execute(text(f"SET GLOBAL {name} = :value"), {"value": value})
    engine.dispose()


def _time(timestamp: str) -> datetime:
    assert len(timestamp) == len("2026-01-01T00:00:00.000Z")
    assert timestamp.endswith("Z")
    return datetime.fromisoformat(timestamp).replace(tzinfo=None)


def test_a_server_that_ended_all_connections_is_reached_again(mariadb: MariaDb, catalog: Catalog) -> None:
    image = catalog.create_image(name="x")
    name = catalog._database._server.name.split(" ")[0]
    for line in mariadb.execute(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'").split()[1:]:
        mariadb.execute(f"KILL {line}")
    assert catalog.image(image.id) == image


def test_a_write_that_fails_leaves_nothing_and_a_transaction_that_reads_changes_nothing(catalog: Catalog) -> None:
    image = catalog.create_image(name="x")
    with pytest.raises(CatalogError), catalog._database.write() as connection:
        connection.exec_driver_sql("UPDATE images SET name = 'y'")
        connection.exec_driver_sql("SELECT no_such_function()")
    assert catalog.image(image.id).name == "x"
    with pytest.raises(CatalogError), catalog._database.read() as connection:
        connection.exec_driver_sql("UPDATE images SET name = 'y'")


def test_a_deadlock_is_resolved_by_another_attempt(url: str, mariadb: MariaDb) -> None:
    with Catalog(url) as catalog:
        ids = []
        for name in "abcdefgh":
            upload = {"method": "upload", "plan": PLAN, "worker": "w", "request": ImportRequest()}
            ids.append(catalog.begin_upload(catalog.create_image(name=name).id, **upload).id)
        first, last = sorted(ids)[0], sorted(ids)[-1]
        engine = create_engine(url)
        counts: list[int] = []
        deadlocks = int(_status(mariadb, "Innodb_deadlocks"))
        heartbeat = threading.Thread(target=lambda: counts.append(catalog.hold("w", [first, last])))
        lock = text("SELECT id FROM tasks WHERE id = :id FOR UPDATE")
        # The victim is the transaction that has changed fewer rows: never this one.
        with engine.begin() as second:
            second.execute(text("UPDATE images SET name = concat(name, 'x')"))
            second.execute(lock, {"id": last})
            heartbeat.start()
            until("the heartbeat waits", lambda: "LOCK WAIT" in mariadb.execute(
                "SELECT trx_state FROM information_schema.innodb_trx"
            ))  # fmt: skip
            second.execute(lock, {"id": first})
        heartbeat.join()
        engine.dispose()
        assert counts == [2]
        assert int(_status(mariadb, "Innodb_deadlocks")) == deadlocks + 1


def _status(mariadb: MariaDb, name: str) -> str:
    return mariadb.execute(f"SHOW GLOBAL STATUS LIKE '{name}'").split()[-1]


class FailingCommits:
    """The next commits of a catalog fail: the server has rolled back, as it does when another node was first."""

    def __init__(self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, numbers: list[int]) -> None:
        dialect = catalog._database._engine.dialect
        commit = dialect.do_commit
        self.remaining = numbers

        def fail(connection) -> None:
            if self.remaining:
                connection.rollback()
                raise pymysql.err.OperationalError(self.remaining.pop(0), "WSREP: no")
            commit(connection)

        monkeypatch.setattr(dialect, "do_commit", fail)


@pytest.mark.parametrize("number", [1213, 1205, 1020])
def test_a_commit_that_another_node_was_faster_than_is_taken_again(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    image = catalog.create_image(name="x")
    commits = FailingCommits(catalog, monkeypatch, [number] * 3)
    assert catalog.add_tag(image.id, "t").tags == ["t"]
    assert not commits.remaining
    FailingCommits(catalog, monkeypatch, [number] * contention.ATTEMPTS)
    with pytest.raises(CatalogError) as caught:
        catalog.add_tag(image.id, "u")
    assert caught.value.code == "catalog-busy"
    assert catalog.image(image.id).tags == ["t"]


@pytest.mark.parametrize("number", [1047, 1053, 1180])
def test_a_node_that_has_left_its_cluster_is_away_and_its_connections_are_closed(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    image = catalog.create_image(name="x")
    (connection_id,) = rows(catalog, "SELECT CONNECTION_ID()")
    FailingCommits(catalog, monkeypatch, [number])
    with pytest.raises(CatalogError) as caught:
        catalog.add_tag(image.id, "t")
    assert caught.value.code == "catalog-io", "it is not known whether the transaction is there"
    assert catalog.image(image.id).tags == []
    assert (rows(catalog, "SELECT CONNECTION_ID()") != [connection_id]) == (number != 1180)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        *((number, "catalog-busy") for number in (1205, 1213, 1020, 1040, 1203)),
        *((number, "catalog-full") for number in (1021, 1114)),
        *((number, "catalog-unwritable") for number in (1044, 1045, 1049, 1142, 1227, 1290, 1665, 1836)),
        *((number, "catalog-damaged") for number in (1034, 1712)),
        *((number, "catalog-io") for number in (1047, 1053, 1317, 2013, 1105)),
    ],
)
def test_errors_of_the_server_have_the_codes_of_the_catalog(shared: Catalog, number: int, code: str) -> None:
    with pytest.raises(CatalogError) as caught, shared._database.write() as connection:
        connection.exec_driver_sql(f"SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'no'")
    assert caught.value.code == code
    assert "(no);" in str(caught.value)


def test_a_full_disk_is_named(shared: Catalog) -> None:
    with pytest.raises(CatalogError) as caught, shared._database.write() as connection:
        words = 'Got error 28 "No space left on device" from storage engine InnoDB'
        connection.exec_driver_sql(f"SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1030, MESSAGE_TEXT = '{words}'")
    assert caught.value.code == "catalog-full"


def test_no_message_quotes_the_values_of_rows(catalog: Catalog) -> None:
    image = catalog.create_image(name="secret")
    with pytest.raises(CatalogError) as caught, catalog._database.write() as connection:
        connection.exec_driver_sql(f"INSERT INTO tags VALUES ('{image.id}', 'secret'), ('{image.id}', 'secret')")
    assert "secret" not in str(caught.value)


def test_a_database_that_does_not_exist_is_named(mariadb: MariaDb) -> None:
    with pytest.raises(CatalogError, match=r"the catalog absent on \S+ failed \(Unknown database 'absent'\); make the"):
        Catalog(mariadb.url("absent"))


def test_a_catalog_of_a_later_release_and_other_tables_are_refused(mariadb: MariaDb, url: str) -> None:
    name = make_url(url).database
    later = f"{int(database.HEAD) + 1:04}"
    mariadb.execute(f"UPDATE `{name}`.alembic_version SET version_num = '{later}'")
    Catalog(url).close()  # it says that this release may use it
    mariadb.execute(f"UPDATE `{name}`.marks SET value = '{later}' WHERE name = 'oldest_revision'")
    with pytest.raises(CatalogError, match="made by a later release") as caught:
        Catalog(url)
    assert caught.value.code == "catalog-newer"
    mariadb.execute(f"DROP TABLE `{name}`.alembic_version")
    with pytest.raises(CatalogError, match="tables that are not Douane's") as caught:
        Catalog(url)
    assert caught.value.code == "catalog-foreign"


@pytest.mark.parametrize("version", ["10.5.29-MariaDB", "8.4.3", "5.7.44-log", ""])
def test_other_servers_are_refused_by_their_version(version: str) -> None:
    with pytest.raises(CatalogError, match=r"needs MariaDB 10\.6 or later"):
        mariadb._check_version(version)


@pytest.mark.parametrize("version", ["10.6.0-MariaDB", "10.11.19-MariaDB-0+deb12u1", "11.8.2-MariaDB-ubu2404-log"])
def test_later_servers_are_accepted(version: str) -> None:
    mariadb._check_version(version)


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql", "mysql+mysqldb"])
def test_all_schemes_name_the_same_database_whatever_character_set_they_ask_for(url: str, scheme: str) -> None:
    with Catalog(url) as catalog:
        image = catalog.create_image(name="\U0001f600")
    with Catalog(f"{url.replace('mysql+pymysql', scheme)}&charset=utf8") as catalog:
        assert catalog.image(image.id) == image


def test_what_reads_sees_one_state_and_what_writes_sees_what_others_have_written(url: str) -> None:
    with Catalog(url) as catalog, Catalog(url) as second:
        image = second.create_image(name="x")
        for tag, transaction in (("a", catalog._database.read), ("b", catalog._database.write)):
            with transaction() as connection:
                first_read = connection.execute(text("SELECT tag FROM tags")).scalars().all()
                second.add_tag(image.id, tag)
                seen_later = connection.execute(text("SELECT tag FROM tags")).scalars().all()
            assert (first_read, seen_later) == (([], []) if tag == "a" else (["a"], ["a", "b"]))


def test_a_backup_is_restored_with_all_that_lists_need(mariadb: MariaDb, url: str, tmp_path: Path) -> None:
    with Catalog(url) as catalog:
        catalog.create_image(name="\U0001f600", properties={"p": "v"})
        catalog.create_image(name=None)
        listed = catalog.find_images(ImageQuery(everything=True, visibility="all", sort=(SortKey("name"),)))
    options = tmp_path / "my.cnf"
    options.write_text(f"[client]\nuser = root\nsocket = {mariadb.folder / 'socket'}\n")
    try:
        mariadb.copy(str(make_url(url).database), "restored")
        with Catalog(f"mariadb://localhost/restored?read_default_file={options}") as restored:
            query = ImageQuery(everything=True, visibility="all", sort=(SortKey("name"),))
            assert restored.find_images(query) == listed
            query = ImageQuery(everything=True, visibility="all", properties={"p": "v"})
            assert [image.name for image in restored.find_images(query)] == ["\U0001f600"]
    finally:
        mariadb.drop("restored")
