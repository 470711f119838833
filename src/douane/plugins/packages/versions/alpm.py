"""Arch's versions. Source: vercmp(8), and lib/libalpm/version.c.

Its comparison is no order for texts that end in a separator: ``1..a`` < ``1.`` < ``1.1`` < ``1..a``. Here ``1.``
follows ``1`` and precedes the others. A version without a release sorts before those with one; vercmp ignores the
release then.
"""

from __future__ import annotations

import re

from .rpm import split_epoch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LETTERS_AT_ONCE, _END, _SEPARATORS, _PART = range(4)
"""Ranks: ``1.0rc`` sorts before ``1.0``, and that before ``1.0.rc``."""
_SEGMENT = re.compile(r"([^A-Za-z0-9]*)(?:([A-Za-z]+)|([0-9]+)|$)")


def key(version: str) -> tuple[Any, ...]:
    """See the package."""
    epoch, rest = split_epoch(version)
    name, dash, release = rest.rpartition("-")
    return (epoch, _parts(name), _parts(release)) if dash else (epoch, _parts(rest), ())


def _parts(text: str) -> tuple[Any, ...]:
    parts: list[tuple[Any, ...]] = []
    for separators, letters, number in _SEGMENT.findall(text):
        if letters and not separators:
            parts.append((_LETTERS_AT_ONCE, letters))
        elif letters or number:
            parts.append((_PART, len(separators), bool(number), int(number) if number else letters))
        elif separators:
            parts.append((_SEPARATORS,))
    return (*parts, (_END,))
