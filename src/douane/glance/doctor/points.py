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


@dataclass(frozen=True)
class Area:
    """Makes the points of one area."""

    name: str

    def ok(self, name: str, fact: str) -> Point:
        """A point that is as it should be."""
        return Point(self.name, name, State.OK, fact)

    def wrong(self, name: str, fact: str, remedy: str) -> Point:
        """A point that must be changed."""
        return Point(self.name, name, State.WRONG, fact, remedy)

    def advice(self, name: str, fact: str, remedy: str) -> Point:
        """A point to think about."""
        return Point(self.name, name, State.ADVICE, fact, remedy)
