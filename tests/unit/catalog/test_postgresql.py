"""What only a server does: connections that break, deadlocks, languages, other programs' tables."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, make_url, text

from douane.catalog import Catalog, ImportRequest, Task, contention, database
from douane.catalog.query import ImageQuery, SetField, SortKey
from douane.errors import CatalogError
from support.catalog import PLAN, download
from support.catalog_servers import on
from support.glance.postgres import Postgres
from support.pgbouncer import pooled

pytestmark = pytest.mark.libraries


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    with on(postgres) as created:
        yield created


def run(url: str, statement: str) -> None:
    engine = create_engine(url.replace("psycopg2", "psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def test_a_server_that_ended_all_connections_is_reached_again(url: str) -> None:
    with Catalog(url) as catalog:
        image = catalog.create_image(name="x")
        run(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'douane'")
        assert catalog.image(image.id) == image


def test_no_transaction_starts_parallel_workers_which_would_read_pages_in_advance(url: str) -> None:
    with Catalog(url) as catalog:
        for transaction in (catalog._database.read, catalog._database.write):
            with transaction() as connection:
                shown = connection.exec_driver_sql("SHOW max_parallel_workers_per_gather").scalar_one()
                isolation = connection.exec_driver_sql("SHOW transaction_isolation").scalar_one()
                waits = connection.exec_driver_sql("SHOW lock_timeout").scalar_one()
            is_read = transaction == catalog._database.read
            assert (shown, waits) == ("0", "30s")
            assert isolation == ("repeatable read" if is_read else "read committed")


def prepared_statements(catalog: Catalog) -> int:
    with catalog._database.read() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar_one()


def test_the_server_keeps_the_plans_of_the_statements_of_a_claim(url: str) -> None:
    with Catalog(url) as catalog:
        download(catalog)
        assert catalog.claim("a") is not None
        assert prepared_statements(catalog) >= 4


def test_behind_a_pool_that_gives_each_transaction_another_connection_claims_go_on(postgres: Postgres) -> None:
    with on(postgres) as direct, pooled(postgres, make_url(direct).database, connections=3) as url:
        catalogs = [Catalog(url, is_checked=True) for _ in range(6)]
        for _ in range(24):
            download(catalogs[0])
        claimed = [task for _ in range(4) for task in in_threads(catalogs)]
        assert len({task.id for task in claimed}) == 24
        assert sum(prepared_statements(catalog) for catalog in catalogs) == 0
        for catalog in catalogs:
            catalog.close()


def in_threads(catalogs: list[Catalog]) -> list[Task]:
    """A claim of each, all at once."""
    with ThreadPoolExecutor(len(catalogs)) as pool:
        names = [f"worker-{number}" for number in range(len(catalogs))]
        return [task for task in pool.map(Catalog.claim, catalogs, names) if task is not None]


def test_a_deadlock_is_resolved_by_another_attempt(url: str) -> None:
    request = ImportRequest()
    with Catalog(url) as catalog:
        ids = []
        for name in "ab":
            image = catalog.create_image(name=name)
            upload = {"method": "upload", "plan": PLAN, "worker": "w", "request": request}
            ids.append(catalog.begin_upload(image.id, **upload).id)
        engine = create_engine(url.replace("psycopg2", "psycopg"))
        held: list[int] = []
        heartbeat = threading.Thread(target=lambda: held.append(catalog.hold("w", ids)))
        lock = text("SELECT id FROM tasks WHERE id = :id FOR UPDATE")
        # This transaction is never the victim: it checks for a deadlock later than the other.
        with engine.begin() as other:
            other.exec_driver_sql("SET LOCAL deadlock_timeout = '60s'")
            other.execute(lock, {"id": ids[1]})
            heartbeat.start()
            while not waits(engine):
                pass
            other.execute(lock, {"id": ids[0]})
        heartbeat.join()
        engine.dispose()
    assert held == [2]


def waits(engine) -> bool:
    with engine.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'douane' AND wait_event_type = 'Lock'"
        return connection.exec_driver_sql(query).scalar_one() > 0


def test_contention_that_lasts_is_an_error(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []

    def busy(self: Catalog, changes: list[SetField]) -> None:
        attempts.append(len(changes))
        raise CatalogError("busy", code="catalog-busy")

    operation = contention._retried(busy)
    monkeypatch.setattr(contention, "_PAUSE", 0)
    with Catalog(url) as catalog, pytest.raises(CatalogError, match="busy"):
        operation(catalog, iter([SetField("name", "x")]))
    assert attempts == [1] * contention.ATTEMPTS, "an iterator is not used up by the first attempt"


def test_text_is_sorted_alike_whatever_the_language_of_the_database(postgres: Postgres) -> None:
    options = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
    run(postgres.url("postgres"), f"CREATE DATABASE english {options}")
    try:
        with Catalog(postgres.url("english")) as catalog:
            for name in ("a", "B", "_"):
                catalog.create_image(name=name)
            query = ImageQuery(everything=True, sort=(SortKey("name", False),))
            assert [image.name for image in catalog.find_images(query)] == ["B", "_", "a"]
    finally:
        postgres.drop("english")


def test_a_catalog_of_a_later_release_and_other_tables_are_refused(url: str, postgres: Postgres) -> None:
    later = f"{int(database.HEAD) + 1:04}"
    run(url, f"UPDATE alembic_version SET version_num = '{later}'")
    Catalog(url).close()  # it says that this release may use it
    run(url, f"UPDATE marks SET value = '{later}' WHERE name = 'oldest_revision'")
    with pytest.raises(CatalogError, match="made by a later release") as caught:
        Catalog(url)
    assert caught.value.code == "catalog-newer"
    run(url, "DROP TABLE alembic_version")
    with pytest.raises(CatalogError, match="tables that are not Douane's") as caught:
        Catalog(url)
    assert caught.value.code == "catalog-foreign"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("40001", "catalog-busy"),
        ("40P01", "catalog-busy"),
        ("55P03", "catalog-busy"),
        ("53300", "catalog-busy"),
        ("53100", "catalog-full"),
        ("28P01", "catalog-unwritable"),
        ("25006", "catalog-unwritable"),
        ("XX001", "catalog-damaged"),
        ("57P01", "catalog-io"),
        ("08006", "catalog-io"),
    ],
)
def test_errors_of_the_server_have_the_codes_of_the_catalog(url: str, state: str, code: str) -> None:
    with Catalog(url) as catalog, pytest.raises(CatalogError) as caught, catalog._database.write() as connection:
        connection.exec_driver_sql(
            f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}', DETAIL = 'secret'; END $$"
        )
    assert caught.value.code == code
    assert "(no);" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_database_that_does_not_exist_is_named(postgres: Postgres) -> None:
    with pytest.raises(
        CatalogError, match=r"the catalog absent on /tmp/\S+ failed \(.*absent.*does not exist.*\); make the database"
    ):
        Catalog(postgres.url("absent"))


def test_a_write_that_fails_leaves_nothing(url: str) -> None:
    with Catalog(url) as catalog:
        image = catalog.create_image(name="x")
        with pytest.raises(CatalogError), catalog._database.write() as connection:
            connection.exec_driver_sql("UPDATE images SET name = 'y'")
            connection.exec_driver_sql("SELECT no_such_function()")
        assert catalog.image(image.id).name == "x"
        with pytest.raises(CatalogError), catalog._database.read() as connection:
            connection.exec_driver_sql("UPDATE images SET name = 'y'")
