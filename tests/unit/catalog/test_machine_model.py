"""Machines, their stores, cordons and heartbeats, a database that is away and a clock that is set: nothing is lost,
nothing runs twice, and nothing is stuck."""

import pytest
from hypothesis import settings

from support.catalog_machines import Machines
from support.catalog_models import OnPostgreSQL, OnSQLite
from support.glance.postgres import Postgres


class SQLiteMachines(OnSQLite, Machines):
    """On SQLite."""


SQLiteMachines.TestCase.settings = settings(max_examples=25, stateful_step_count=50, deadline=None)
TestMachines = SQLiteMachines.TestCase
TestMachines.pytestmark = [pytest.mark.timeout(600)]


class PostgreSQLMachines(OnPostgreSQL, Machines):
    """On PostgreSQL."""


PostgreSQLMachines.TestCase.settings = settings(max_examples=10, stateful_step_count=50, deadline=None)


@pytest.mark.libraries
@pytest.mark.timeout(600)
class TestMachinesOnPostgreSQL(PostgreSQLMachines.TestCase):
    """The same steps on PostgreSQL."""

    @pytest.fixture(autouse=True)
    def _server(self, postgres: Postgres) -> None:
        PostgreSQLMachines.server = postgres
