"""Find the site-packages of a Python by reading files; run nothing that is installed there.

The same as CPython's module `site` does (https://docs.python.org/3/library/site.html), except that `site` also executes
the lines of .pth files that begin with `import`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

_MAX_BYTES = 1 << 20
"""Bytes read of a .pth file, or of pyvenv.cfg."""


class Environment(msgspec.Struct, frozen=True):
    """The contents of pyvenv.cfg (https://docs.python.org/3/library/venv.html)."""

    prefix: str
    """The folder of the virtual environment; empty if there is none."""

    system: bool
    """The environment also uses the site-packages of the Python that it was created from."""


def environment_of(executable: str) -> Environment:
    """The virtual environment of the Python at `executable`, which is the path by which it will be called."""
    folder = os.path.dirname(executable)
    for place in (folder, os.path.dirname(folder)):
        text = _text(f"{place}/pyvenv.cfg")
        if text is None:
            continue
        system = True
        for line in text.splitlines():
            key, equals, value = line.partition("=")
            if equals and key.strip().lower() == "include-system-site-packages":
                system = value.strip().lower() == "true"
        return Environment(os.path.dirname(folder), system)
    return Environment("", True)


def search_path(start: Iterable[str], sites: Iterable[str]) -> list[str]:
    """sys.path as it will be: `start` (the standard library), then each existing folder of `sites`, followed by the
    folders that its .pth files name."""
    folders = dict.fromkeys(start)
    for site in map(os.path.abspath, sites):
        try:
            names = os.listdir(site)
        except OSError:
            continue  # missing or unreadable, for the plugin as well
        folders[site] = None
        for name in sorted(names):
            if name.endswith(".pth") and not name.startswith("."):
                folders.update(dict.fromkeys(entries(os.path.join(site, name))))
    return list(folders)


def entries(file: str) -> list[str]:
    """The existing paths in a .pth file. Comments and lines of code are ignored."""
    paths = []
    for line in (_text(file) or "").splitlines():
        if line.strip() and not line.startswith(("#", "import ", "import\t")) and "\0" not in line:
            path = os.path.abspath(os.path.join(os.path.dirname(file), line.rstrip()))
            if os.path.exists(path):
                paths.append(path)
    return paths


def _text(file: str) -> str | None:
    """The text of `file`; None if the file is missing or unreadable."""
    if not os.path.isfile(file):  # reading a pipe would block
        return None
    try:
        with open(file, "rb") as stream:
            return stream.read(_MAX_BYTES).decode("utf-8-sig", "surrogateescape")
    except OSError:
        return None
