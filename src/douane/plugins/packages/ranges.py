"""Ranges of versions: those of advisories, and those that an operator writes."""

from __future__ import annotations

from .schema import EXACTLY, FIXED, INTRODUCED, LAST_AFFECTED
from .versions import version_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    Bound = tuple[str, str, tuple[bool, Any]]
    """The sign, the version, and its key."""

SIGNS = (">=", "<=", "==", "!=", ">", "<")


def sort_key(kind: str, version: str) -> tuple[bool, Any]:
    """OSV's ``0`` is before all versions. Raises ValueError."""
    return (False, ()) if version == "0" else (True, version_key(kind, version))


def prepared(ranges: Iterable[Sequence[str]], kind: str) -> list[list[Bound]]:
    """The bounds of the ranges of an advisory, with the keys of their versions. Raises ValueError if one of them is no
    version of its kind."""
    return [[_bound(text[:1], text[1:], kind) for text in bounds] for bounds in ranges]


def _bound(sign: str, limit: str, kind: str) -> Bound:
    return sign, limit, (False, ()) if sign == EXACTLY else sort_key(kind, limit)


def affects(ranges: Iterable[Sequence[str]], kind: str, version: str) -> tuple[bool, str]:
    """True if a version is in one of the ranges of an advisory, and the first version that has the fix; empty if there
    is none. Raises ValueError if something is no version of its kind."""
    return position(prepared(ranges, kind), kind, version, sort_key(kind, version))


def position(ranges: Iterable[list[Bound]], kind: str, version: str, key: tuple[bool, Any]) -> tuple[bool, str]:
    """The same, of ranges that are prepared; `key` is that of the version."""
    is_affected, fixes = False, []
    for bounds in ranges:
        is_inside, fix = _position(bounds, version, key)
        if is_inside:
            is_affected = True
            if fix:
                fixes.append(fix)
    if len(fixes) > 1:
        return True, min(fixes, key=lambda fix: sort_key(kind, fix))
    return is_affected, fixes[0] if fixes else ""


def _position(bounds: list[Bound], version: str, key: tuple[bool, Any]) -> tuple[bool, str]:
    """True if the version is in the range, and the first fix after it."""
    is_inside, fix = False, ""
    for sign, limit, place in bounds:
        if sign == EXACTLY:
            is_inside = is_inside or limit == version
        elif sign == INTRODUCED:
            is_inside = is_inside or key >= place
        elif key > place or (key == place and sign != LAST_AFFECTED):
            is_inside = False
        elif sign == FIXED and not fix:
            fix = limit
    return is_inside, fix


class Condition:
    """What an operator writes, as ``>= 1.0, < 2.0``: all parts must hold."""

    def __init__(self, text: str) -> None:
        """Raises ValueError."""
        self._parts = [_part(part) for part in text.split(",")]

    def holds(self, kind: str, version: str) -> bool:
        """Raises ValueError if something is no version of this kind."""
        key = version_key(kind, version)
        return all(_compare(key, sign, version_key(kind, bound)) for sign, bound in self._parts)


def _part(text: str) -> tuple[str, str]:
    sign = next((sign for sign in SIGNS if text.strip().startswith(sign)), "")
    version = text.strip()[len(sign) :].strip()
    if not sign or not version:
        raise ValueError(f"{text.strip()!r:.80} is no range of versions; write it as '>= 1.0, < 2.0'")
    return sign, version


def _compare(key: Any, sign: str, bound: Any) -> bool:
    if sign in ("==", "!="):
        return bool((key == bound) == (sign == "=="))
    if key == bound:
        return "=" in sign
    return bool(key < bound) == (sign[0] == "<")
