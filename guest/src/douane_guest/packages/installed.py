"""Which files the package managers of a system have installed, by their own lists.

Sources: dpkg's ``info/*.list``, and ``status.d/*.md5sums`` of images without dpkg; apk-package(5); alpm-db-files(5);
rpm's headers (:mod:`.rpm_files`). A list of a desktop has 20 MiB: of a list only those paths are kept that are asked
for. What is damaged, or beyond a bound, is nobody's.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator

from douane_guest.budget import Budget
from douane_guest.errors import GuestError, TooMuch
from douane_guest.filesystems.base import FILE
from douane_guest.tree import Tree
from douane_guest.unread import UnreadParts
from douane_guest.volume import Item, to_bytes

from .base import paragraphs

MAX_LIST = 16 << 20
"""Bytes of the list of a single package; that of 100,000 files has some 8 MiB."""

MAX_LISTS = 128 << 20
"""Bytes of the lists of all packages of a system."""

_TOP_NAMES, _MAX_TOPS = 3, 32
"""A list is searched for the first names of the paths before it is split into lines: nine of ten lists have no file
below ``/usr/lib/python3/``. With many such beginnings, as a hostile image may have, the lines are split at once."""


class Paths:
    """The paths that are asked for, as bytes that begin with a slash."""

    def __init__(self, paths: Collection[str]) -> None:
        self._texts = {to_bytes(path): path for path in paths}
        self.folders = {path[: path.rindex(b"/") + 1] for path in self._texts}
        """The folders they are in, with the slash at their end."""

        self._tops = {b"/".join(path.split(b"/")[1 : 1 + _TOP_NAMES]) for path in self._texts}

    def __contains__(self, path: bytes) -> bool:
        return path in self._texts

    def text(self, path: bytes) -> str:
        """The path as it was asked for."""
        return self._texts[path]

    def may_be_in(self, data: bytes) -> bool:
        """False if a list has none of them."""
        return len(self._tops) > _MAX_TOPS or any(top in data for top in self._tops)


def installed_files(
    tree: Tree, budget: Budget, unread: UnreadParts, managers: Collection[str], paths: Collection[str]
) -> frozenset[str]:
    """Those of `paths` that one of these package managers (``dpkg``, ``rpm``, ``apk``, ``pacman``) has installed. Paths
    begin with a slash. A list that cannot be read is listed as unread."""
    request = Paths(paths)
    files: set[str] = set()
    for manager in managers if paths else ():
        try:
            files.update(request.text(path) for path in _READERS[manager](tree, budget, request) if path in request)
        except GuestError as error:
            unread.add_error(f"{tree.volume.name}: the lists of files of {manager}", error)
    return frozenset(files)


def _dpkg(tree: Tree, budget: Budget, request: Paths) -> Iterator[bytes]:
    for data in _lists(tree.glob("var/lib/dpkg/info/*.list"), budget):
        if request.may_be_in(data):
            yield from _lines(data)
    for data in _lists(tree.glob("var/lib/dpkg/status.d/*.md5sums"), budget):
        if request.may_be_in(data):
            yield from (b"/" + line.partition(b"  ")[2] for line in _lines(data))


def _apk(tree: Tree, budget: Budget, request: Paths) -> Iterator[bytes]:
    for database in ("lib/apk/db/installed", "usr/lib/apk/db/installed"):
        for paragraph in paragraphs(tree, database, budget):
            budget.step()
            if not request.may_be_in(paragraph):
                continue
            folder = b""
            for line in paragraph.split(b"\n"):
                if line.startswith(b"F:"):
                    folder = line[2:]
                elif line.startswith(b"R:"):
                    yield b"/%s/%s" % (folder, line[2:])


def _pacman(tree: Tree, budget: Budget, request: Paths) -> Iterator[bytes]:
    for data in _lists(tree.glob("var/lib/pacman/local/*/files"), budget):
        if not request.may_be_in(data):
            continue
        section = b""
        for line in _lines(data):
            if line.startswith(b"%"):
                section = line
            elif section == b"%FILES%":
                yield b"/" + line


def _rpm(tree: Tree, budget: Budget, request: Paths) -> Iterator[bytes]:
    from . import rpm, rpm_files

    for blob, _ in rpm.headers(tree, budget):
        yield from rpm_files.files_in(blob, request.folders, budget)


_READERS: dict[str, Callable[[Tree, Budget, Paths], Iterator[bytes]]] = {
    "dpkg": _dpkg,
    "rpm": _rpm,
    "apk": _apk,
    "pacman": _pacman,
}


def _lists(items: list[Item], budget: Budget) -> Iterator[bytes]:
    """The bytes of these files, one after the other."""
    room = MAX_LISTS
    for item in items:
        size = item.node.size
        budget.step(1 + size // 16)
        room -= size
        if room < 0:
            raise TooMuch(f"the lists of files have more than the {MAX_LISTS} bytes that are read")
        if item.node.kind == FILE:
            yield item.open().read_all(MAX_LIST)


def _lines(data: bytes) -> Iterator[bytes]:
    """The lines, one at a time: millions of them would take more memory than their bytes."""
    for line in io.BytesIO(data):
        yield line.rstrip(b"\n")
