"""Ranges of versions: those of advisories, and those that an operator writes."""

from __future__ import annotations

from .schema import EXACTLY, FIXED, INTRODUCED, LAST_AFFECTED
from .versions import version_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

SIGNS = (">=", "<=", "==", "!=", ">", "<")


def sort_key(kind: str, version: str) -> tuple[bool, Any]:
    """OSV's ``0`` is before all versions. Raises ValueError."""
    return (False, ()) if version == "0" else (True, version_key(kind, version))


def affects(ranges: Iterable[Sequence[str]], kind: str, version: str) -> tuple[bool, str]:
    """True if a version is in one of the ranges of an advisory, and the first version that has the fix; empty if there
    is none. Raises ValueError if something is no version of its kind."""
    key = sort_key(kind, version)
    is_affected, fixes = False, []
    for bounds in ranges:
        is_inside, fix = _position(bounds, kind, version, key)
        is_affected = is_affected or is_inside
        if is_inside:
            fixes.append(fix)
    return is_affected, min(filter(None, fixes), key=lambda fix: sort_key(kind, fix), default="")


def _position(bounds: Sequence[str], kind: str, version: str, key: tuple[bool, Any]) -> tuple[bool, str]:
    """True if the version is in the range, and the first fix after it."""
    is_inside, fix = False, ""
    for bound in bounds:
        sign, limit = bound[:1], bound[1:]
        if sign == EXACTLY:
            is_inside = is_inside or limit == version
            continue
        place = sort_key(kind, limit)
        if sign == INTRODUCED:
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
