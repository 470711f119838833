"""The order of versions, by the rules of each ecosystem. A module for each has a function `key`: versions sort by it.

`key` raises ValueError for a text that its ecosystem does not take as a version.
"""

from __future__ import annotations

from functools import lru_cache

from . import alpm, apk, dpkg, gem, pep440, rpm, semver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Key = tuple[Any, ...]

MAX_VERSION = 1000
"""Characters. Versions of packages have some dozen."""

_KEYS: dict[str, Callable[[str], Key]] = {
    "dpkg": dpkg.key,
    "rpm": rpm.key,
    "apk": apk.key,
    "pacman": alpm.key,
    "python": pep440.key,
    "node": semver.key,
    "gem": gem.key,
}
KINDS = tuple(_KEYS)
"""The kinds of packages, as the contract names them."""


@lru_cache(maxsize=1 << 16)
def version_key(kind: str, version: str) -> Key:
    """What the versions of a kind of packages sort by. Raises ValueError if the text is no version of it."""
    if len(version) > MAX_VERSION:
        raise ValueError(f"a version has {len(version)} characters, more than {MAX_VERSION}")
    return _KEYS[kind](version)
