"""Database servers for the tests of the catalog: PostgreSQL and MariaDB."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from douane.catalog import Catalog

from .galera import Galera
from .glance.mariadb import MariaDb
from .glance.postgres import Postgres

Server = Postgres | MariaDb | Galera
SERVERS: dict[str, type[Server]] = {"postgresql": Postgres, "mariadb": MariaDb, "galera": Galera}
MARKS = {"postgresql": "libraries", "mariadb": "libraries", "galera": "galera"}


@contextmanager
def running(name: str) -> Iterator[Server]:
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
