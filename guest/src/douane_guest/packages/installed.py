"""Which files the package managers of a system have installed, by their own lists, and are as they were installed.

Sources: deb-md5sums(5), in ``info`` and, in images without dpkg, ``status.d``; apk-package(5); alpm-mtree(5); rpm's
headers (:mod:`.rpm_files`). The lists of a desktop have 20 MiB: only the paths are kept that somebody asks for. What is
damaged, or beyond a bound, is nobody's.
"""

from __future__ import annotations

import binascii
import hashlib
import io
import re
import zlib
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, GuestError, TooMuch
from douane_guest.filesystems.base import FILE
from douane_guest.tree import Tree
from douane_guest.unread import UnreadParts
from douane_guest.volume import Item, to_bytes

from .base import MAX_TEXT, paragraphs

MAX_LIST = 16 << 20
"""Bytes of the list of a single package; that of 100,000 files has some 10 MiB."""

MAX_LISTS = 128 << 20
"""Bytes of the lists of all packages of a system."""

_TOP_NAMES, _MAX_TOPS = 3, 32
"""A list is searched for the first folders of the paths before it is split into lines: nine of ten lists have no file
below ``/usr/lib/python3/``. With many such beginnings, as a hostile image may have, the lines are split at once."""


class Paths:
    """The paths that are asked for, as bytes that begin with a slash."""

    def __init__(self, paths: Collection[str]) -> None:
        self._texts = {to_bytes(path): path for path in paths}
        self.folders = {path[: path.rindex(b"/") + 1] for path in self._texts}
        """The folders they are in, with the slash at their end."""

        self._tops = {b"/".join(folder.split(b"/")[1:-1][:_TOP_NAMES]) for folder in self.folders}

    def __contains__(self, path: bytes) -> bool:
        return path in self._texts

    def text(self, path: bytes) -> str:
        """The path as it was asked for."""
        return self._texts[path]

    def may_be_in(self, data: bytes) -> bool:
        """False if a list has none of them."""
        return len(self._tops) > _MAX_TOPS or any(top in data for top in self._tops)


class Listed(NamedTuple):
    """A file in a list."""

    path: bytes
    algorithm: str
    """As in `hashlib`."""

    digest: bytes
    origin: str = ""
    """Who made the package: rpm's vendor, empty for the others."""


def installed_files(
    tree: Tree, budget: Budget, unread: UnreadParts, managers: Collection[str], paths: Collection[str]
) -> dict[str, str]:
    """Those of `paths` that one of these package managers (``dpkg``, ``rpm``, ``apk``, ``pacman``) has installed, and
    nobody has written over, with the origin of the package. Paths begin with a slash. A list that cannot be read is
    listed as unread."""
    request = Paths(paths)
    digests: dict[tuple[str, str], bytes | None] = {}
    files: dict[str, str] = {}
    for manager in sorted(managers) if paths else ():
        try:
            for entry in _READERS[manager](tree, budget, request):
                path = request.text(entry.path)
                key = path, entry.algorithm
                if key not in digests:
                    digests[key] = _digest_of(tree, path, entry.algorithm, budget)
                if digests[key] == entry.digest:
                    files.setdefault(path, entry.origin)
        except GuestError as error:
            unread.add_error(f"{tree.volume.name}: the lists of files of {manager}", error)
    return files


def _digest_of(tree: Tree, path: str, algorithm: str, budget: Budget) -> bytes | None:
    """That of the file; None for anything else, and for a file that is too long to describe a package."""
    try:
        file = tree.open(path)
    except OSError:
        return None
    if file.size > MAX_TEXT:
        return None
    budget.step(1 + file.size // 16)
    return hashlib.new(algorithm, file.read_all(MAX_TEXT), usedforsecurity=False).digest()


_MD5_LINE = re.compile(rb"([0-9a-fA-F]{32})  /?(.+)")


def _dpkg(tree: Tree, budget: Budget, request: Paths) -> Iterator[Listed]:
    for pattern in ("var/lib/dpkg/info/*.md5sums", "var/lib/dpkg/status.d/*.md5sums"):
        for data in _lists(tree.glob(pattern), budget):
            for line in _lines(data, budget) if request.may_be_in(data) else ():
                match = _MD5_LINE.fullmatch(line)
                if match and b"/" + match[2] in request:
                    yield Listed(b"/" + match[2], "md5", bytes.fromhex(match[1].decode()))


_APK_ALGORITHMS = {b"Q1": "sha1", b"Q2": "sha256"}


def _apk(tree: Tree, budget: Budget, request: Paths) -> Iterator[Listed]:
    for database in ("lib/apk/db/installed", "usr/lib/apk/db/installed"):
        for paragraph in paragraphs(tree, database, budget):
            budget.step()
            folder = path = b""
            for line in paragraph.split(b"\n") if request.may_be_in(paragraph) else ():
                key, value = line[:2], line[2:]
                if key == b"F:":
                    folder, path = value, b""
                elif key == b"R:":
                    path = b"/%s/%s" % (folder, value)
                elif key == b"Z:" and path in request and value[:2] in _APK_ALGORITHMS:
                    yield Listed(path, _APK_ALGORITHMS[value[:2]], _from_base64(value[2:]))


def _from_base64(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text)
    except binascii.Error:
        return b""


_ESCAPE = re.compile(rb"\\([0-7]{3})")
_MTREE_DIGEST = re.compile(rb" (sha256|md5)(?:digest)?=([0-9a-f]+)")


def _pacman(tree: Tree, budget: Budget, request: Paths) -> Iterator[Listed]:
    for packed in _lists(tree.glob("var/lib/pacman/local/*/mtree"), budget):
        data = _unpack(packed, budget)
        for line in _lines(data, budget) if request.may_be_in(data) else ():
            path = _ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), line.partition(b" ")[0][1:])
            if line.startswith(b"./") and path in request:
                for algorithm, digest in _MTREE_DIGEST.findall(line):
                    yield Listed(path, algorithm.decode(), bytes.fromhex(digest[: len(digest) & ~1].decode()))


def _unpack(data: bytes, budget: Budget) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(data, MAX_LIST)
    except zlib.error as error:
        raise Broken(f"a list of files of pacman cannot be unpacked: {error}") from error
    budget.step(len(text) // 16)
    if not unpacker.eof:
        raise TooMuch(f"a list of files of pacman has more than {MAX_LIST} bytes, or does not end")
    return text


def _rpm(tree: Tree, budget: Budget, request: Paths) -> Iterator[Listed]:
    from . import rpm, rpm_files

    for blob, path in rpm.headers(tree, budget):
        files = [file for file in rpm_files.files_in(blob, request.folders, budget) if file.path in request]
        origin = rpm.parse_header(blob, path).origin if files else ""
        yield from (Listed(*file, origin) for file in files if file.algorithm)


_READERS: dict[str, Callable[[Tree, Budget, Paths], Iterator[Listed]]] = {
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


def _lines(data: bytes, budget: Budget) -> Iterator[bytes]:
    """The lines, one at a time: millions of them would take more memory than their bytes. 16 MiB of empty ones, which
    pacman packs into 16 KiB, take 5 s."""
    budget.step(data.count(b"\n"))
    for line in io.BytesIO(data):
        yield line.rstrip(b"\n")
