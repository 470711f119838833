"""The folders with Douane's own data, which no plugin may be granted: the catalog, the store, the state."""

from __future__ import annotations

import os

_registered: set[str] = set()


def register(folder: str | os.PathLike[str]) -> None:
    """Note that `folder` holds data of this process's own: images of all tenants, or what it believes about them."""
    _registered.add(os.path.realpath(folder))


def registered() -> tuple[str, ...]:
    """These folders, and the default home, whether or not this process uses it."""
    folders = set(_registered)
    home = default_home()
    if not home.startswith("~"):  # a user without a home; a relative DOUANE_HOME is a folder
        folders.add(os.path.realpath(home))
    return tuple(sorted(folders))


def default_home() -> str:
    """``DOUANE_HOME``, or ``douane`` in the XDG data directory (XDG Base Directory Specification 0.8). It begins with
    ``~`` for a user who has no home."""
    home = os.environ.get("DOUANE_HOME")
    if home:
        return home
    data_home = os.environ.get("XDG_DATA_HOME")
    base = data_home if data_home and os.path.isabs(data_home) else os.path.expanduser("~/.local/share")
    return os.path.join(base, "douane")
