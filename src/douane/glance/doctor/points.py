"""What is said of one point."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a point is."""

    OK = "ok"
    WRONG = "wrong"
    """Images can get in unchecked, or cannot get in."""
    ADVICE = "advice"
    """It works, and could be better; or it cannot be known from here."""


@dataclass(frozen=True)
class Point:
    """`area` and `name` say what it is about; `found` what there is, `remedy` what to do (empty: nothing)."""

    area: str
    name: str
    state: State
    found: str
    remedy: str = ""


def ok(area: str, name: str, found: str) -> Point:
    """A point that is as it should be."""
    return Point(area, name, State.OK, found)


def wrong(area: str, name: str, found: str, remedy: str) -> Point:
    """A point to be changed."""
    return Point(area, name, State.WRONG, found, remedy)


def advice(area: str, name: str, found: str, remedy: str) -> Point:
    """A point to think about."""
    return Point(area, name, State.ADVICE, found, remedy)
