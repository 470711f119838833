"""Versions of rpm: ``epoch:version-release``. Source: rpm-version(7), and rpmio/rpmvercmp.c."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TILDE, _END, _CARET, _LETTERS, _NUMBER = range(5)
"""Ranks: ``~`` sorts before the end, ``^`` after it, and before any other part."""
_PART = re.compile(r"(~)|(\^)|([A-Za-z]+)|([0-9]+)")


def key(version: str) -> tuple[Any, ...]:
    """See the package."""
    epoch, rest = split_epoch(version)
    name, dash, release = rest.rpartition("-")
    if not dash:
        name, release = rest, ""
    return epoch, _parts(name), _parts(release)


def split_epoch(version: str) -> tuple[int, str]:
    """The epoch, 0 if there is none, and the rest. Raises ValueError."""
    epoch, colon, rest = version.strip().partition(":")
    if not colon:
        epoch, rest = "0", epoch
    if not (epoch.isascii() and epoch.isdigit()) or not rest:
        raise ValueError(f"{version!r:.60} is no version")
    return int(epoch), rest


def _parts(text: str) -> tuple[Any, ...]:
    parts: list[tuple[Any, ...]] = []
    for match in _PART.finditer(text):
        tilde, caret, letters, number = match.groups()
        if tilde or caret:
            parts.append((_TILDE if tilde else _CARET,))
        else:
            parts.append((_LETTERS, letters) if letters else (_NUMBER, int(number)))
    return (*parts, (_END,))
