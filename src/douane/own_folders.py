"""The folders with Douane's own data, which no plugin may be granted: the catalog, the store, the state; and the files
with the credentials of stores."""

from __future__ import annotations

import os
from contextlib import suppress

_registered: set[str] = set()
_secrets: set[str] = set()


def register(folder: str | os.PathLike[str]) -> None:
    """Note that `folder` holds data of this process's own: images of all tenants, or what it believes about them."""
    _registered.add(os.path.realpath(folder))


def register_secret(path: str | os.PathLike[str]) -> None:
    """Note that the file at `path` has credentials of this process's own."""
    _secrets.add(os.path.realpath(path))


def secret_at(path: str, status: os.stat_result) -> str | None:
    """The file with credentials that is at `path`, by whatever name, or is in this folder; `status` is its stat."""
    real = os.path.realpath(path)
    for secret in sorted(_secrets):
        if secret.startswith(real.rstrip("/") + "/"):
            return secret
        with suppress(OSError):
            if os.path.samestat(os.stat(secret), status):
                return secret
    return None


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
