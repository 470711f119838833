"""Versions of npm's packages. Source: Semantic Versioning 2.0.0, item 11. Numbers that are left out are 0."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_VERSION = re.compile(
    r"[v=\s]*([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]*)?", re.ASCII
)
_RELEASE = (1,)


def key(version: str) -> tuple[Any, ...]:
    """See the package."""
    match = _VERSION.fullmatch(version.strip())
    if match is None:
        raise ValueError(f"{version!r:.60} is no semantic version")
    numbers = tuple(int(number or 0) for number in match.groups()[:3])
    if match[4] is None:
        return (*numbers, _RELEASE)
    parts = match[4].split(".")
    return (*numbers, (0, tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)))
