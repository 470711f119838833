"""Servers that all tests here share: they take tens of seconds to start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from harness.downloads import Downloads
from harness.glance_config import GlanceConfig
from harness.glance_server import Glance, StartGlance
from harness.keystone import Keystone
from harness.plans import INSPECT
from harness.postgres import Postgres
from harness.site import Site, with_douane
from harness.wsgi_servers import Serving


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test-glance ARGS=--all-versions`"""
    parser.addoption("--all-versions", action="store_true", help="every test in every Glance and server that it knows")


def pytest_configure(config: pytest.Config) -> None:
    """The marker of what the option adds."""
    config.addinivalue_line("markers", "all_versions: run with --all-versions only: another version or server")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without the option, leave them out."""
    if not config.getoption("--all-versions", default=False):
        left_out = [item for item in items if item.get_closest_marker("all_versions")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


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
    """What web-download may fetch."""
    server = Downloads()
    server.start()
    yield server
    server.stop()


@contextmanager
def glances(
    postgres: Postgres, keystone: Keystone, downloads: Downloads, folders: pytest.TempPathFactory
) -> Iterator[StartGlance]:
    with ExitStack() as stack:

        def start(config: GlanceConfig, beside: Glance | None = None) -> Glance:
            folder: Path = folders.mktemp("glance")
            glance = Glance(config, folder, postgres, keystone, (downloads.port,), beside)
            stack.callback(glance.close)
            glance.start()
            keystone.publish(glance.port)
            return glance

        yield start


@pytest.fixture(scope="module")
def start_glance(
    postgres: Postgres, keystone: Keystone, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartGlance]:
    """Starts a Glance of this configuration; all end with the module that started them."""
    with glances(postgres, keystone, downloads, tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def usual_site(
    postgres: Postgres, keystone: Keystone, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Glance 33 with filter and import plugin, of which several files of tests ask nothing special: uwsgi, several
    workers and threads, the engine in each worker. It is not restarted, and its plan stays as it is."""
    folder = tmp_path_factory.mktemp("douane")
    (folder / "douane.toml").write_text(INSPECT)
    where = {"config": str(folder / "douane.toml")}
    serving = Serving("uwsgi", processes=2, threads=4)
    with glances(postgres, keystone, downloads, tmp_path_factory) as start:
        yield Site(start(with_douane(folder / "state", where, serving=serving)), downloads)
