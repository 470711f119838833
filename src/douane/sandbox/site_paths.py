"""Where a Python finds its site-packages, read as text: no line of what is installed there is run.

What CPython's module `site` does at its start (https://docs.python.org/3/library/site.html), without the one thing
that it also does: to execute the lines of .pth files that begin with `import`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_LONGEST = 1 << 20
"""Bytes that are read of a .pth file, or of pyvenv.cfg."""


@dataclass(frozen=True)
class Environment:
    """What pyvenv.cfg says (https://docs.python.org/3/library/venv.html)."""

    prefix: str
    """The folder of the virtual environment, empty if there is none."""

    system: bool
    """The site-packages of the Python that it was made from belong to it, too."""


def environment_of(executable: Path) -> Environment:
    """The virtual environment of the Python at `executable`, which is the path by which it will be called."""
    beside = executable.parent
    for place in (beside, beside.parent):
        text = _text(place / "pyvenv.cfg")
        if text is None:
            continue
        system = True
        for line in text.splitlines():
            key, equals, value = line.partition("=")
            if equals and key.strip().lower() == "include-system-site-packages":
                system = value.strip().lower() == "true"
        return Environment(str(beside.parent), system)
    return Environment("", True)


def search_path(start: Iterable[str], sites: Iterable[str]) -> list[str]:
    """sys.path as it will be: `start` (the standard library), then each folder of `sites` that is there, followed by
    the folders that its .pth files name."""
    found = dict.fromkeys(start)
    for site in map(os.path.abspath, sites):
        try:
            names = os.listdir(site)
        except OSError:
            continue  # not there, or not for us: then it is not for the plugin either
        found[site] = None
        for name in sorted(names):
            if name.endswith(".pth") and not name.startswith("."):
                found.update(dict.fromkeys(entries(Path(site, name))))
    return list(found)


def entries(file: Path) -> list[str]:
    """The paths in a .pth file that are there. Comments and lines of code are passed over."""
    found = []
    for line in (_text(file) or "").splitlines():
        if line.strip() and not line.startswith(("#", "import ", "import\t")) and "\0" not in line:
            path = os.path.abspath(os.path.join(file.parent, line.rstrip()))
            if os.path.exists(path):
                found.append(path)
    return found


def _text(file: Path) -> str | None:
    """What stands in `file`; None if it is not there, or cannot be read."""
    if not file.is_file():  # a pipe would keep us waiting
        return None
    try:
        with open(file, "rb") as opened:
            return opened.read(_LONGEST).decode("utf-8-sig", "surrogateescape")
    except OSError:
        return None
