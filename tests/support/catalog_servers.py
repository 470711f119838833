"""Database servers for the tests of the catalog: PostgreSQL and MariaDB."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import create_engine

from douane.catalog import Catalog

from .galera import Galera
from .glance.mariadb import MariaDb
from .glance.postgres import Postgres

DatabaseServer = Postgres | MariaDb
"""One that can be killed and started again."""
Server = DatabaseServer | Galera
SERVERS: dict[str, type[Server]] = {"postgresql": Postgres, "mariadb": MariaDb, "galera": Galera}
MARKS = {"postgresql": "libraries", "mariadb": "libraries", "galera": "galera"}


@contextmanager
def running(name: str) -> Iterator[Any]:
    """A server of its own."""
    with ExitStack() as stack:
        server = SERVERS[name]()
        stack.callback(server.stop)
        server.start()
        yield server


@contextmanager
def on(server: Server) -> Iterator[str]:
    """The URL of a new database with an empty catalog."""
    name = f"catalog-{uuid.uuid4()}"
    try:
        yield server.prepare(name, "catalog-empty", lambda url: Catalog(url).close())
    finally:
        server.drop(name)


def create(server: Server, name: str) -> str:
    """The URL of a new, empty database, with the driver that Douane has."""
    return server.create(name).replace("psycopg2", "psycopg")


def end_connections(url: str) -> int:
    """End all connections to a database at the server, as its restart does; how many there were."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'douane'"
            end = "SELECT pg_terminate_backend({})"
        else:
            query = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
            end = "KILL {}"
        numbers = list(connection.exec_driver_sql(query).scalars())
        for number in numbers:
            connection.exec_driver_sql(end.format(number))
    engine.dispose()
    return len(numbers)
