"""What the operator has configured, checked; and the database that is granted."""

from __future__ import annotations

from typing import Any

from douane.plugins._judgement import ALLOW, SEVERITIES, WARN
from douane.plugins._literal import Literal

from .clock import day_number
from .judging import INCOMPLETE, Rules
from .lists import Entry, Exemption
from .schema import SEVERITIES as LEVELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .database import Database

GRANT = "cve"
NEVER = "never"


class Settings:
    """The settings of the inspector, which explains them, and of what judges in its place."""

    def __init__(
        self,
        deny: list[Any] | None = None,
        allow: list[Any] | None = None,
        end_of_life: Literal["warn", "refuse", "note", "allow"] = "warn",
        support_ends: dict[str, str] | None = None,
        refuse: Literal["critical", "high", "medium", "low", "never"] = "critical",
        warn: Literal["high", "critical", "medium", "low", "never"] = "high",
        unfixed: Literal["warn", "refuse", "allow"] = "warn",
        unknown_severity: Literal["high", "critical", "medium", "low"] = "high",
        exceptions: list[Any] | None = None,
        max_age: int = 7,
        uncovered: Literal["incomplete", "warn", "allow"] = "incomplete",
        unread: Literal["incomplete", "warn"] = "incomplete",
        end_of_life_notice: int = 0,
        end_of_life_margin: int = 0,
    ) -> None:
        levels = LEVELS[1:]
        _check("end_of_life", end_of_life, (*SEVERITIES, ALLOW))
        _check("refuse", refuse, (*levels, NEVER))
        _check("warn", warn, (*levels, NEVER))
        _check("unfixed", unfixed, ("refuse", WARN, ALLOW))
        _check("unknown_severity", unknown_severity, levels)
        _check("uncovered", uncovered, (INCOMPLETE, WARN, ALLOW))
        _check("unread", unread, (INCOMPLETE, WARN))
        numbers = {
            "max_age": max_age,
            "end_of_life_notice": end_of_life_notice,
            "end_of_life_margin": end_of_life_margin,
        }
        for name, days in numbers.items():
            if days < 0:
                raise ValueError(f"{name!r} is a number of days, not {days}")
        self.end_of_life_notice, self.end_of_life_margin = end_of_life_notice, end_of_life_margin
        self.denied = [Entry(value, f"'deny', entry {number}") for number, value in enumerate(deny or (), 1)]
        self.allowed = [Entry(value, f"'allow', entry {number}") for number, value in enumerate(allow or (), 1)]
        self.end_of_life, self.support_ends = end_of_life, dict(support_ends or {})
        for system, day in self.support_ends.items():
            _check_day(f"'support_ends', {system}", day)
        exemptions = [
            Exemption(value, f"'exceptions', entry {number}") for number, value in enumerate(exceptions or (), 1)
        ]
        self.rules = Rules(refuse, warn, unfixed, unknown_severity, exemptions)
        self.max_age, self.uncovered, self.unread = max_age, uncovered, unread
        self.path = _path_of_database(self)


def open_database(path: str | None, max_age: int, day: str) -> Database | None:
    """The database; None if none is granted. Raises Incomplete."""
    if path is None:
        return None
    from .database import Database

    database = Database(path)
    if max_age:
        database.check_age(day, max_age)
    return database


def _path_of_database(plugin: Any) -> str | None:
    try:
        granted = plugin.grant(GRANT)
    except LookupError:
        return None
    try:
        path: str = granted.path
    except (LookupError, AttributeError):
        raise ValueError(
            "the database of vulnerabilities is a file with a path: "
            'grants = { cve = "file:/var/lib/douane/cve.sqlite" }'
        ) from None
    return path


def _check(name: str, value: object, words: tuple[str, ...]) -> None:
    if value not in words:
        raise ValueError(f"{name!r} is one of {', '.join(words)}, not {value!r:.60}")


def _check_day(place: str, day: object) -> None:
    try:
        day_number(str(day))
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
