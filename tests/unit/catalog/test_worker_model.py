"""Workers, doors and tenants at every point of every import, in every order: no state without a way out."""

import pytest
from hypothesis import settings

from support.catalog_models import OnPostgreSQL, OnSQLite
from support.catalog_workers import Workers
from support.glance.postgres import Postgres


class SQLiteWorkers(OnSQLite, Workers):
    """On SQLite."""


SQLiteWorkers.TestCase.settings = settings(max_examples=25, stateful_step_count=50, deadline=None)
TestWorkers = SQLiteWorkers.TestCase
TestWorkers.pytestmark = [pytest.mark.timeout(600)]


class PostgreSQLWorkers(OnPostgreSQL, Workers):
    """On PostgreSQL."""


PostgreSQLWorkers.TestCase.settings = settings(max_examples=10, stateful_step_count=50, deadline=None)


@pytest.mark.libraries
@pytest.mark.timeout(600)
class TestWorkersOnPostgreSQL(PostgreSQLWorkers.TestCase):
    """The same steps on PostgreSQL."""

    @pytest.fixture(autouse=True)
    def _server(self, postgres: Postgres) -> None:
        PostgreSQLWorkers.server = postgres
