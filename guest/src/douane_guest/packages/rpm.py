"""RPM's packages: the header of each, from a database in sqlite, ndb, or Berkeley DB.

Source: rpm's "Package Header format" (docs/manual/hregions.md, format_header.md) and its tags.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.source import Source
from douane_guest.tree import Tree

from .base import Package, text

FOLDERS = ("var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm")
PATHS = tuple(f"{folder}/{name}" for folder in FOLDERS for name in ("rpmdb.sqlite", "Packages.db", "Packages"))
MAX_TAGS = 65536
_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH, _SOURCE, _VENDOR = 1000, 1001, 1002, 1003, 1022, 1044, 1011
_TAGS = (_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH, _SOURCE, _VENDOR)
_NUMBER, _TEXT, _TRANSLATED = 4, 6, 9
_ENTRY = struct.Struct(">IIiI")


class Field(NamedTuple):
    """Where in the data of a header the values of a tag are."""

    kind: int
    offset: int
    number: int


def read(tree: Tree, budget: Budget) -> Iterator[Package]:
    """See :class:`~.base.Reader`."""
    for blob, path in headers(tree, budget):
        yield parse_header(blob, path)


def headers(tree: Tree, budget: Budget) -> Iterator[tuple[bytes, str]]:
    """The header of each package, and the path of its database. A folder that is a link to another one is read once."""
    visited = set()
    for folder in FOLDERS:
        for name, blobs_of in _BACKENDS.items():
            path = f"{folder}/{name}"
            try:
                item = tree.stat(path)
            except OSError:
                continue
            key = (item.volume.name, item.node.ref)
            if item.node.kind != "file" or key in visited:
                continue
            visited.add(key)
            for blob in blobs_of(tree, path, budget):
                yield blob, item.path


# Each database has a module, which is imported for a system that has it.


def _from_sqlite(tree: Tree, path: str, budget: Budget) -> Iterator[bytes]:
    from . import sqlite

    log: Source | None = None
    try:
        log = tree.open(f"{path}-wal")
    except OSError:
        log = None
    try:
        journal = tree.open(f"{path}-journal")
        if journal.size >= 8 and journal.pread(0, 8) == sqlite.JOURNAL_MAGIC:
            raise Unsupported(f"{path} has changes that were not finished, in its journal", "guest-unclean")
    except OSError:
        pass
    database = sqlite.Database(tree.open(path), log, budget)
    for values in database.rows("Packages"):
        if len(values) != 2 or not isinstance(values[1], bytes):
            raise Broken("the table of packages of rpm has other columns than a number and a header")
        yield values[1]


def _from_ndb(tree: Tree, path: str, budget: Budget) -> Iterator[bytes]:
    from . import ndb

    yield from ndb.blobs(tree.open(path), budget)


def _from_berkeley(tree: Tree, path: str, budget: Budget) -> Iterator[bytes]:
    from . import berkeley

    yield from berkeley.values(tree.open(path), budget)


_BACKENDS: dict[str, Callable[[Tree, str, Budget], Iterator[bytes]]] = {
    "rpmdb.sqlite": _from_sqlite,
    "Packages.db": _from_ndb,
    "Packages": _from_berkeley,
}


def parse_header(blob: bytes, path: str) -> Package:
    """The package of a header."""
    places, data = fields_of(blob, _TAGS)
    fields: dict[int, str] = {}
    for tag, (kind, offset, _) in places.items():
        if kind in (_TEXT, _TRANSLATED):
            fields[tag] = text(data[offset : data.find(b"\0", offset)])
        elif kind == _NUMBER:
            fields[tag] = str(int.from_bytes(data[offset : offset + 4], "big"))
    if not fields.get(_NAME):
        raise Broken("a header of rpm has no name")
    version = f"{fields.get(_VERSION, '')}-{fields.get(_RELEASE, '')}"
    if fields.get(_EPOCH, "0") != "0":
        version = f"{fields[_EPOCH]}:{version}"
    source = _source_name(fields.get(_SOURCE, ""))
    return Package("rpm", fields[_NAME], version, fields.get(_ARCH, ""), source, path, origin=fields.get(_VENDOR, ""))


def fields_of(blob: bytes, tags: Collection[int]) -> tuple[dict[int, Field], bytes]:
    """Where the values of these tags are, and the data they are in. Of a tag that comes twice the first one counts."""
    if len(blob) < 8:
        raise Broken(f"a header of rpm has {len(blob)} bytes")
    count, length = struct.unpack(">II", blob[:8])
    if count > MAX_TAGS or 8 + 16 * count + length > len(blob):
        raise Broken(f"a header of rpm has {count} tags and {length} bytes of data")
    fields: dict[int, Field] = {}
    for tag, kind, offset, number in _ENTRY.iter_unpack(blob[8 : 8 + 16 * count]):
        if tag not in tags or tag in fields:
            continue
        if not 0 <= offset < length or not number:
            raise Broken(f"the tag {tag} of a header of rpm has no place in its data")
        fields[tag] = Field(kind, offset, number)
    return fields, blob[8 + 16 * count :][:length]


def _source_name(file: str) -> str:
    """The name in ``bash-5.2-1.fc41.src.rpm``."""
    parts = file.rsplit("-", 2)
    return parts[0] if len(parts) == 3 else ""
