"""Debian's versions. Source: deb-version(7), and lib/dpkg/version.c."""

from __future__ import annotations

from .rpm import split_epoch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DIGITS = frozenset("0123456789")
_END = (0,)


def key(version: str) -> tuple[Any, ...]:
    """See the package."""
    epoch, rest = split_epoch(version)
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return epoch, _parts(upstream), _parts(revision)


def _parts(text: str) -> tuple[Any, ...]:
    """Texts and numbers in turn, and an empty text: what ends sorts before what goes on, but for ``~``."""
    parts: list[Any] = []
    position = 0
    while position < len(text) or not parts:
        start = position
        while position < len(text) and text[position] not in _DIGITS:
            position += 1
        parts.append((*map(_weight, text[start:position]), 0))
        start = position
        while position < len(text) and text[position] in _DIGITS:
            position += 1
        parts.append(int(text[start:position] or 0))
    return (*parts, _END)


def _weight(letter: str) -> int:
    if letter == "~":
        return -1
    return ord(letter) if letter.isascii() and letter.isalpha() else ord(letter) + 0x110000
