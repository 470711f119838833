"""What a package is, and what a reader of a database is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from douane_guest.budget import Budget
from douane_guest.errors import TooMuch
from douane_guest.tree import Tree

MAX_DATABASE = 64 << 20
MAX_TEXT = 1 << 20
"""Of a file, or a paragraph, that describes a single package."""
MAX_HEADER = 16 << 20
"""Of a header of rpm; those of packages with 100,000 files have a few MiB."""
_PIECE = 256 << 10


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

    source_version: str = ""
    """The version of the source package, if it is another."""

    origin: str = ""
    """Who made it, as the database says: rpm's vendor; dpkg's origin, or else its maintainer; apk's maintainer;
    pacman's packager."""


class Reader(Protocol):
    """A module of this package has a function `read`."""

    PATHS: tuple[str, ...]
    """Patterns of the files of the database, for people."""

    def read(self, tree: Tree, budget: Budget) -> Iterator[Package]:
        """The packages; none if there is no such database. Damage raises the exceptions of `errors.py`."""


def paragraphs(tree: Tree, path: str, budget: Budget, most: int = MAX_DATABASE) -> Iterator[bytes]:
    """The parts of a text file between empty lines, none if there is no such file. It is never in memory as a whole."""
    try:
        file = tree.open(path)
    except OSError:
        return
    if file.size > most:
        raise TooMuch(f"/{path} has {file.size} bytes, more than the {most} that are read")
    rest = b""
    for start in range(0, file.size, _PIECE):
        budget.step(_PIECE // 64)
        *parts, rest = (rest + file.pread(start, min(_PIECE, file.size - start))).split(b"\n\n")
        yield from parts
        if len(rest) > MAX_TEXT:
            raise TooMuch(f"/{path} describes a package with more than {MAX_TEXT} bytes")
    yield rest


def check_header(length: int, budget: Budget) -> None:
    """Raises TooMuch for a header of rpm that is too long; counts steps for its bytes, which many entries may share."""
    if length > MAX_HEADER:
        raise TooMuch(f"a header of rpm has {length} bytes, more than the {MAX_HEADER} that are read")
    budget.step(length // 64)


def text(data: bytes) -> str:
    """Bytes of a database as text."""
    return data.decode("utf-8", "surrogateescape")


def shown(text: str) -> str:
    r"""A text of the guest in UTF-8: other bytes as ``\xff``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
