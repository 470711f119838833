"""The databases of the catalog's tests: a file of SQLite, with ``-m libraries`` databases of PostgreSQL and MariaDB,
and with ``-m galera`` those of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from douane.catalog import Catalog
from support.catalog_servers import MARKS, SERVERS, Server, on, running

ON_SERVERS = [pytest.param(name, marks=[getattr(pytest.mark, MARKS[name])]) for name in SERVERS]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server of its own."""
    with running("postgresql") as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A server of its own."""
    with running("mariadb") as server:
        yield server


@pytest.fixture(scope="session")
def galera() -> Iterator[Server]:
    """A cluster of its own."""
    with running("galera") as server:
        yield server


def server_of(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue({"postgresql": "postgres"}.get(request.param, request.param))
    return server


@pytest.fixture(params=["sqlite", *ON_SERVERS])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The path, or the URL, of a database for one test."""
    if request.param == "sqlite":
        yield str(tmp_path / "home" / "catalog.sqlite")
    else:
        with on(server_of(request)) as url:
            yield url


@pytest.fixture(params=["sqlite", *ON_SERVERS], scope="module")
def long_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same for all tests of a module."""
    if request.param == "sqlite":
        yield str(tmp_path_factory.mktemp("catalog") / "catalog.sqlite")
    else:
        with on(server_of(request)) as url:
            yield url


@pytest.fixture(params=["sqlite", *ON_SERVERS])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database in which no catalog was made."""
    if request.param == "sqlite":
        yield str(tmp_path / "home" / "catalog.sqlite")
    else:
        server = server_of(request)
        yield server.create("catalog-unmade")
        server.drop("catalog-unmade")


@pytest.fixture
def catalog(database: str) -> Iterator[Catalog]:
    """A new catalog."""
    with Catalog(database) as opened:
        yield opened
