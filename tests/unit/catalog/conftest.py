"""The databases of the catalog's tests: a file of SQLite, and with ``-m libraries`` a database of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from douane.catalog import Catalog
from support.catalog_postgresql import on
from support.glance.postgres import Postgres

ON_POSTGRESQL = pytest.param("postgresql", marks=[pytest.mark.libraries])


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server of its own."""
    with ExitStack() as stack:
        server = Postgres()
        stack.callback(server.stop)
        server.start()
        yield server


@pytest.fixture(params=["sqlite", ON_POSTGRESQL])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The path, or the URL, of a database for one test."""
    if request.param == "sqlite":
        yield str(tmp_path / "home" / "catalog.sqlite")
    else:
        with on(request.getfixturevalue("postgres")) as url:
            yield url


@pytest.fixture(params=["sqlite", ON_POSTGRESQL], scope="module")
def long_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same for all tests of a module."""
    if request.param == "sqlite":
        yield str(tmp_path_factory.mktemp("catalog") / "catalog.sqlite")
    else:
        with on(request.getfixturevalue("postgres")) as url:
            yield url


@pytest.fixture(params=["sqlite", ON_POSTGRESQL])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database in which no catalog was made."""
    if request.param == "sqlite":
        yield str(tmp_path / "home" / "catalog.sqlite")
    else:
        server: Postgres = request.getfixturevalue("postgres")
        yield server.create("catalog-unmade")
        server.drop("catalog-unmade")


@pytest.fixture
def catalog(database: str) -> Iterator[Catalog]:
    """A new catalog."""
    with Catalog(database) as opened:
        yield opened
