"""The points of an examination."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The state of a point."""

    OK = "ok"
    WRONG = "wrong"
    """Images can get in unchecked, or cannot get in."""
    ADVICE = "advice"
    """It works, and could be better; or it cannot be determined from here."""


@dataclass(frozen=True)
class Point:
    """`area` and `name` identify the point; `fact` is what was found, `remedy` what to do (empty: nothing)."""

    area: str
    name: str
    state: State
    fact: str
    remedy: str = ""


def ok(area: str, name: str, fact: str) -> Point:
    """A point that is as it should be."""
    return Point(area, name, State.OK, fact)


def wrong(area: str, name: str, fact: str, remedy: str) -> Point:
    """A point that must be changed."""
    return Point(area, name, State.WRONG, fact, remedy)


def advice(area: str, name: str, fact: str, remedy: str) -> Point:
    """A point to think about."""
    return Point(area, name, State.ADVICE, fact, remedy)
