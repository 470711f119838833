"""The files that a system's package manager has installed, by its own lists: those of dpkg (``info/*.list``), and the
lines ``F:`` and ``R:`` in the database of apk (apk-package(5)). Lists of rpm and pacman are not read."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from douane_plugin import GuestFile, GuestRoot

MAX_LISTED = 256 << 20
"""Bytes of all lists of a system; those of a desktop have 20 MiB. What comes after them is nobody's."""

MAX_LINE = 64 << 10
_PIECE = 256 << 10
_DPKG_LISTS = "/var/lib/dpkg/info/*.list"
_APK_DATABASES = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")


def owned_files(root: GuestRoot, managers: Collection[str], paths: Collection[str]) -> frozenset[str]:
    """Those of `paths` that one of these package managers has installed. Raises Incomplete."""
    names = {path.encode("utf-8", "surrogateescape"): path for path in paths}
    owned: set[bytes] = set()
    for manager in managers:
        if manager in _READERS:
            owned.update(path for path in _READERS[manager](root) if path in names)
    return frozenset(names[path] for path in owned)


def _dpkg(root: GuestRoot) -> Iterator[bytes]:
    room = MAX_LISTED
    for entry in root.glob(_DPKG_LISTS):
        room -= entry.size
        if entry.kind == "file" and room >= 0:
            with entry.open() as file:
                yield from _lines(file)


def _apk(root: GuestRoot) -> Iterator[bytes]:
    for database in _APK_DATABASES:
        try:
            file = root.open(database)
        except OSError:
            continue
        folder = b""
        with file:
            for line in _lines(file):
                if line.startswith(b"F:"):
                    folder = line[2:]
                elif line.startswith(b"R:"):
                    yield b"/%s/%s" % (folder, line[2:])


_READERS: dict[str, Callable[[GuestRoot], Iterator[bytes]]] = {"dpkg": _dpkg, "apk": _apk}


def _lines(file: GuestFile) -> Iterator[bytes]:
    """The lines, up to one that is too long for a path."""
    rest = b""
    for _ in range(0, min(file.size, MAX_LISTED), _PIECE):
        *lines, rest = (rest + file.read(_PIECE)).split(b"\n")
        yield from lines
        if len(rest) > MAX_LINE:
            return
    yield rest
