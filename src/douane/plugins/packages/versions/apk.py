"""Alpine's versions: ``1.2.3b_rc1_p2~hash-r4``. Source: apk-package(5), and src/version.c of apk-tools 3."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BEFORE_RELEASE = ("alpha", "beta", "pre", "rc")
_AFTER_RELEASE = ("cvs", "svn", "git", "hg", "p")
_EARLY, _END, _REVISION, _HASH, _SUFFIX_NUMBER, _LATE, _LETTER, _NUMBER = range(8)
"""Ranks of what follows after equal parts: a suffix as ``_rc`` sorts before the end, a further number last."""
_VERSION = re.compile(
    r"(?P<numbers>[0-9]+(?:\.[0-9]+)*)(?P<letter>[a-z]?)(?P<suffixes>(?:_[a-z]+[0-9]*)*)"
    r"(?:~(?P<hash>[0-9a-f]+))?(?:-r(?P<revision>[0-9]+))?",
    re.ASCII,
)
_SUFFIX = re.compile(r"_([a-z]+)([0-9]*)")


def key(version: str) -> tuple[Any, ...]:
    """See the package."""
    match = _VERSION.fullmatch(version.strip())
    if match is None:
        raise ValueError(f"{version!r:.60} is no version of apk")
    first, *numbers = match["numbers"].split(".")
    parts: list[tuple[Any, ...]] = [(_NUMBER, int(first))]
    parts += [_number(number) for number in numbers]
    if match["letter"]:
        parts.append((_LETTER, match["letter"]))
    for name, number in _SUFFIX.findall(match["suffixes"]):
        parts.append(_suffix(name, version))
        if number:
            parts.append((_SUFFIX_NUMBER, int(number)))
    if match["hash"]:
        parts.append((_HASH, match["hash"]))
    if match["revision"]:
        parts.append((_REVISION, int(match["revision"])))
    return (*parts, (_END,))


def _number(text: str) -> tuple[Any, ...]:
    """If one of two numbers begins with a zero, they are compared as texts."""
    return (_NUMBER, 0, text) if text[0] == "0" else (_NUMBER, 1, int(text))


def _suffix(name: str, version: str) -> tuple[int, int]:
    if name in _BEFORE_RELEASE:
        return _EARLY, _BEFORE_RELEASE.index(name)
    if name in _AFTER_RELEASE:
        return _LATE, _AFTER_RELEASE.index(name)
    raise ValueError(f"{version!r:.60} has a suffix that apk does not know")
