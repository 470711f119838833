"""What a package is, and what a reader of a database is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from douane_guest.budget import Budget
from douane_guest.tree import Tree

MAX_DATABASE = 64 << 20
MAX_TEXT = 1 << 20
"""Of a file that describes a single package."""


class Package(NamedTuple):
    """A package that is installed."""

    kind: str
    """As in a package URL: ``deb``, ``rpm``, ``apk``, ``alpm``, ``pypi``, ``npm``, ``gem``."""

    name: str
    version: str
    """With epoch and release, as the package manager writes it."""

    arch: str = ""
    source: str = ""
    """The name of the source package, if it is another."""

    path: str = ""
    """The file that says that it is installed."""


class Reader(Protocol):
    """A module of this package has a function `read`."""

    PATHS: tuple[str, ...]
    """Patterns of the files of the database, for people."""

    def read(self, tree: Tree, budget: Budget) -> Iterator[Package]:
        """The packages; none if there is no such database. Damage raises the exceptions of `errors.py`."""


def text(data: bytes) -> str:
    """Bytes of a database as text."""
    return data.decode("utf-8", "surrogateescape")
