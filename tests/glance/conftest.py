"""Servers for all tests of this folder, as they take tens of seconds to start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support.glance.downloads import Downloads
from support.glance.glance_config import GlanceConfig
from support.glance.glance_server import DatabaseServer, Glance, StartGlance
from support.glance.keystone import Keystone
from support.glance.plans import INSPECT
from support.glance.postgres import Postgres
from support.glance.site import Site, with_douane
from support.glance.wsgi_servers import Serving


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test-glance ARGS=--all-versions`"""
    parser.addoption("--all-versions", action="store_true", help="run tests in more versions and servers")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker of the tests that the option adds."""
    config.addinivalue_line("markers", "all_versions: run with --all-versions only: another version or server")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without the option, leave those tests out."""
    if not config.getoption("--all-versions", default=False):
        deselected = [item for item in items if item.get_closest_marker("all_versions")]
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if item not in deselected]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The database server of Keystone and of every Glance."""
    with ExitStack() as stack:
        server = Postgres()
        stack.callback(server.stop)
        server.start()
        yield server


@pytest.fixture(scope="session")
def keystone(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    """The identity service."""
    with ExitStack() as stack:
        server = Keystone(tmp_path_factory.mktemp("keystone"), postgres)
        stack.callback(server.stop)
        server.start()
        yield server


@pytest.fixture(scope="session")
def downloads() -> Iterator[Downloads]:
    """The server that web-download may fetch from."""
    server = Downloads()
    server.start()
    yield server
    server.stop()


@contextmanager
def glances(
    database_server: DatabaseServer, keystone: Keystone, downloads: Downloads, folders: pytest.TempPathFactory
) -> Iterator[StartGlance]:
    with ExitStack() as stack:

        def start(config: GlanceConfig, first_host: Glance | None = None) -> Glance:
            folder: Path = folders.mktemp("glance")
            glance = Glance(config, folder, database_server, keystone, (downloads.port,), first_host)
            stack.callback(glance.close)
            glance.start()
            keystone.publish(glance.port)
            return glance

        yield start


@pytest.fixture(scope="module")
def start_glance(
    postgres: Postgres, keystone: Keystone, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartGlance]:
    """Starts a Glance of a configuration; it ends with the module of the test."""
    with glances(postgres, keystone, downloads, tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def usual_site(
    postgres: Postgres, keystone: Keystone, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Glance 33 with filter and import plugin, for tests without special needs: uwsgi, several workers and threads,
    the engine in each worker. Tests do not restart it, nor change its plan."""
    folder = tmp_path_factory.mktemp("douane")
    (folder / "douane.toml").write_text(INSPECT)
    settings = {"config": str(folder / "douane.toml")}
    serving = Serving("uwsgi", processes=2, threads=4)
    with glances(postgres, keystone, downloads, tmp_path_factory) as start:
        yield Site(start(with_douane(folder / "state", settings, serving=serving)), downloads)
