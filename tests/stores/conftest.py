"""The stores that every test of this folder runs on, and their servers, which are started once."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from douane.stores.rbd import RbdOptions, RbdStore
from support.ceph import Ceph, running_ceph
from support.s3_server import S3Server, gateway_of, moto_server
from support.sizes import ALL
from support.store_places import PLACES, Place


@pytest.fixture(scope="session")
def ceph() -> Iterator[Ceph]:
    """The cluster. A test that stops a part of it starts it again."""
    with running_ceph() as cluster:
        yield cluster


class Pool:
    """A pool of the cluster, with a client that may use this pool only."""

    def __init__(self, ceph: Ceph, name: str) -> None:
        self.ceph = ceph
        self.name = name
        ceph.make_pool(name)
        self.keyring = ceph.add_client(name, "mon", "profile rbd", "osd", f"profile rbd pool={name}")
        self.options = RbdOptions(
            pool=name, ceph_conf=str(ceph.conf), user=name, keyring=str(self.keyring), timeout=2.0
        )
        self.store = RbdStore(self.options)

    def settings(self) -> str:
        """The keys of a store in a configuration file."""
        return (
            f'url = "rbd:{self.name}"\nceph_conf = "{self.ceph.conf}"\nuser = "{self.name}"\n'
            f'keyring = "{self.keyring}"\ntimeout = "2s"\n'
        )

    def rbd(self, command: str, image: str, *options: str) -> str:
        """The output of ``rbd COMMAND POOL/IMAGE OPTIONS``."""
        return self.ceph.rbd(command, f"{self.name}/{image}", *options)

    def names(self) -> list[str]:
        """The names of all images in the pool."""
        return sorted(self.ceph.rbd("ls", self.name).split())

    def save(self, image: str, folder: Path) -> bytes:
        """The bytes of an image, by Ceph's own tool."""
        target = folder / f"{uuid.uuid4()}"
        self.rbd("export", image, "--no-progress", str(target))
        data = target.read_bytes()
        target.unlink()
        return data


@pytest.fixture(scope="module")
def pool(ceph: Ceph, request: pytest.FixtureRequest) -> Pool:
    """A pool for the tests of a module."""
    return Pool(ceph, request.module.__name__.rpartition(".")[2].replace("_", "-"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every store, or those of which the mark ``only_stores`` says that they have something."""
    if "place" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("only_stores")
        has: Callable[[type[Place]], bool] = mark.args[0] if mark is not None else lambda _: True
        params = [
            pytest.param(name, marks=[pytest.mark.stores, pytest.mark.xdist_group(kind.server)] if kind.server else [])
            for name, kind in PLACES.items()
            if has(kind) and (ALL or not kind.is_further)
        ]
        metafunc.parametrize("place", params, indirect=True)


@pytest.fixture
def kills(place: Place) -> int:
    """How often a process is killed. A server takes a second for each."""
    if ALL:
        return 200
    return 16 if place.server is None else 8


@pytest.fixture(scope="session")
def start_server(request: pytest.FixtureRequest) -> Iterator[Callable[[str], S3Server | Ceph]]:
    """The server with this name, running."""
    running: dict[str, S3Server] = {}
    with ExitStack() as stack:

        def start(name: str) -> S3Server | Ceph:
            if name == "rbd":
                return request.getfixturevalue("ceph")
            if name not in running:
                is_ceph = name == "s3-ceph"
                running[name] = (
                    gateway_of(request.getfixturevalue("ceph")) if is_ceph else stack.enter_context(moto_server())
                )
            return running[name]

        yield start


@pytest.fixture
def place(
    request: pytest.FixtureRequest, tmp_path: Path, start_server: Callable[[str], S3Server | Ceph]
) -> Iterator[Place]:
    """An empty place for a store."""
    kind = PLACES[request.param]
    place = kind(tmp_path, start_server(kind.server) if kind.server else None)
    yield place
    place.close()
