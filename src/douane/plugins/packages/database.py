"""The database of advisories, open for questions. It is granted, so the plugin cannot trust that it is whole."""

from __future__ import annotations

from douane_plugin import Incomplete
from douane_plugin._json import loads

from .clock import day_number
from .ranges import prepared
from .schema import APPLICATION_ID, DATE, SEVERITIES, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .ranges import Bound

MAX_STEPS = 200_000_000
"""Steps of SQLite's machine for all questions about an image, after which the database is taken for damaged. A question
about a package takes 20, and 15 more for each of its advisories."""

STEPS = 10_000
UNREADABLE = "packages-cve-unreadable"
OTHER_VERSION = "packages-cve-version"
OUTDATED = "packages-cve-outdated"
REMEDY = "; make it again with `douane cve build`"


class Advisory:
    """What an advisory says of a package."""

    __slots__ = ("failure", "identifiers", "name", "ranges", "severity")

    def __init__(self, kind: str, name: str, cves: str, severity: int, ranges: str) -> None:
        """`kind` is that of the package. Raises ValueError for a row that is damaged."""
        self.name = name
        self.identifiers: list[str] = cves.split() or [name]
        self.severity = severity
        self.ranges: list[list[Bound]] = []
        self.failure = ""
        if not 0 <= severity < len(SEVERITIES):
            raise ValueError("a severity is out of its range")
        rows: list[list[str]] = loads(ranges)
        if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            raise ValueError("ranges are no lists")
        try:
            self.ranges = prepared(rows, kind)
        except ValueError as error:
            self.failure = str(error)


class Database:
    """Raises Incomplete from each of its methods."""

    def __init__(self, path: str) -> None:
        import sqlite3

        self._error = sqlite3.Error
        self._steps = 0
        name = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        try:
            # Nobody changes the file while it is open: `douane cve build` replaces it.
            self._connection = sqlite3.connect(f"file:{name}?mode=ro&immutable=1", uri=True)
            self._connection.set_progress_handler(self._count, STEPS)
            self._connection.execute("PRAGMA trusted_schema=OFF")
            header = [self._ask(f"PRAGMA {name}")[0][0] for name in ("application_id", "user_version")]
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        if header != [APPLICATION_ID, VERSION]:
            raise Incomplete(OTHER_VERSION, f"the database of vulnerabilities is of another version{REMEDY}")
        self._systems: dict[str, int] = dict(self._ask("SELECT name, number FROM system"))
        dates = self._ask("SELECT value FROM fact WHERE name = ?", DATE)
        self.date = str(dates[0][0]) if dates else ""
        try:
            day_number(self.date)
        except ValueError as error:
            raise self._unreadable(error) from error

    def check_age(self, day: str, most: int) -> None:
        """Raises Incomplete if the advisories are more than `most` days older than `day`, or are of a day to come."""
        age = day_number(day) - day_number(self.date)
        if age > most or age < -1:
            raise Incomplete(
                OUTDATED,
                f"the database of vulnerabilities is of {self.date}, and today is {day}: at most {most} days are good"
                f"{REMEDY}",
            )

    def begin(self) -> None:
        """Count the steps for another image."""
        self._steps = 0

    def has(self, system: str) -> bool:
        """True if there are advisories for a system or ecosystem."""
        return system in self._systems

    def advisories(self, system: str, kind: str, package: str) -> list[Advisory]:
        """All advisories about a package of this kind, whatever its version."""
        rows = self._ask(
            "SELECT advisory.name, cves, severity, ranges FROM affected JOIN advisory ON advisory.number = advisory"
            " WHERE system = ? AND package = ?",
            self._systems[system],
            package,
        )
        try:
            return [Advisory(kind, *row) for row in rows]
        except (ValueError, TypeError, AttributeError, StopIteration) as error:
            raise self._unreadable(error) from error

    def _ask(self, question: str, *values: Any) -> list[Any]:
        try:
            return self._connection.execute(question, values).fetchall()
        except (self._error, UnicodeError) as error:
            raise self._unreadable(error) from error

    def _count(self) -> bool:
        self._steps += STEPS
        return self._steps > MAX_STEPS

    @staticmethod
    def _unreadable(error: Exception) -> Incomplete:
        return Incomplete(UNREADABLE, f"the database of vulnerabilities cannot be read ({error}){REMEDY}")
