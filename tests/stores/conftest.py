"""A real Ceph with a pool, for the tests of a session, and a store in it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane.stores.rbd import RbdOptions, RbdStore
from support.ceph import Ceph, running_ceph


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
            pool=name, ceph_conf=str(ceph.conf), user=name, keyring=str(self.keyring), timeout=4.0
        )
        self.store = RbdStore(self.options)

    def settings(self) -> str:
        """The keys of a store in a configuration file."""
        return (
            f'url = "rbd:{self.name}"\nceph_conf = "{self.ceph.conf}"\nuser = "{self.name}"\n'
            f'keyring = "{self.keyring}"\ntimeout = "4s"\n'
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
