"""Machines, their stores, cordons and heartbeats, a database that is away and a clock that is set: nothing is lost,
nothing runs twice, and nothing is stuck."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from douane.catalog import Catalog
from support.catalog import empty_catalog
from support.catalog_machines import Machines
from support.catalog_servers import on
from support.glance.postgres import Postgres


class SQLiteMachines(Machines):
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


SQLiteMachines.TestCase.settings = settings(max_examples=25, stateful_step_count=50, deadline=None)
TestMachines = SQLiteMachines.TestCase
TestMachines.pytestmark = [pytest.mark.timeout(600)]


class PostgreSQLMachines(Machines):
    """On PostgreSQL."""

    server: Postgres

    def open_catalog(self) -> Catalog:
        self.database = on(self.server)
        return Catalog(self.database.__enter__())

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "database"):
            self.database.__exit__(None, None, None)


PostgreSQLMachines.TestCase.settings = settings(max_examples=10, stateful_step_count=50, deadline=None)


@pytest.mark.libraries
@pytest.mark.timeout(600)
class TestMachinesOnPostgreSQL(PostgreSQLMachines.TestCase):
    """The same steps on PostgreSQL."""

    @pytest.fixture(autouse=True)
    def _server(self, postgres: Postgres) -> None:
        PostgreSQLMachines.server = postgres
