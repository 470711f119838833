"""The folders with Douane's own data, which no plugin may be granted: the catalog, the store, the state."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_registered: set[str] = set()


def register(folder: str | os.PathLike[str]) -> None:
    """Note that `folder` holds data of this process's own: images of all tenants, or what it believes about them."""
    _registered.add(os.path.realpath(folder))


def registered() -> tuple[str, ...]:
    """These folders, and the default home, whether or not this process uses it."""
    folders = set(_registered)
    with contextlib.suppress(RuntimeError):  # a user who has no home
        folders.add(os.path.realpath(default_home()))
    return tuple(sorted(folders))


def default_home() -> Path:
    """``DOUANE_HOME``, or ``douane`` in the XDG data directory (XDG Base Directory Specification 0.8)."""
    home = os.environ.get("DOUANE_HOME")
    if home:
        return Path(home)
    data_home = os.environ.get("XDG_DATA_HOME")
    base = Path(data_home) if data_home and os.path.isabs(data_home) else Path.home() / ".local" / "share"
    return base / "douane"
