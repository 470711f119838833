"""Workers, doors and tenants at every point of every import, in every order: no state without a way out."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from douane.catalog import Catalog
from support.catalog import empty_catalog
from support.catalog_servers import on
from support.catalog_workers import Workers
from support.glance.postgres import Postgres


class SQLiteWorkers(Workers):
    """On SQLite."""

    def open_catalog(self) -> Catalog:
        self.directory = tempfile.TemporaryDirectory(prefix="douane-test-")
        path = Path(self.directory.name) / "catalog.sqlite"
        path.write_bytes(empty_catalog())
        return Catalog(path)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "directory"):
            self.directory.cleanup()


SQLiteWorkers.TestCase.settings = settings(max_examples=25, stateful_step_count=50, deadline=None)
TestWorkers = SQLiteWorkers.TestCase
TestWorkers.pytestmark = [pytest.mark.timeout(600)]


class PostgreSQLWorkers(Workers):
    """On PostgreSQL."""

    server: Postgres

    def open_catalog(self) -> Catalog:
        self.database = on(self.server)
        return Catalog(self.database.__enter__())

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "database"):
            self.database.__exit__(None, None, None)


PostgreSQLWorkers.TestCase.settings = settings(max_examples=10, stateful_step_count=50, deadline=None)


@pytest.mark.libraries
@pytest.mark.timeout(600)
class TestWorkersOnPostgreSQL(PostgreSQLWorkers.TestCase):
    """The same steps on PostgreSQL."""

    @pytest.fixture(autouse=True)
    def _server(self, postgres: Postgres) -> None:
        PostgreSQLWorkers.server = postgres
