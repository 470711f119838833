"""The lists of the operator: packages that are denied or allowed, and vulnerabilities that are excepted for a time."""

from __future__ import annotations

import fnmatch

from douane.plugins._judgement import SEVERITIES

from .clock import day_number
from .ranges import Condition
from .versions import KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .inventory import Package

_KEYS = frozenset(("name", "version", "kind", "origin", "severity", "reason"))
_EXCEPTION_KEYS = frozenset(("id", "package", "until", "reason"))


class Entry:
    """An entry of `deny` or `allow`: a package matches if its name, kind, version and origin do."""

    def __init__(self, value: Any, place: str) -> None:
        """`value` is a name or a table. Raises ValueError."""
        table = {"name": value} if isinstance(value, str) else value
        _check(table, _KEYS, place)
        self.name = table.get("name", "*")
        self.kind, self.origin, self.reason = table.get("kind", ""), table.get("origin", "*"), table.get("reason", "")
        self.severity = table.get("severity", SEVERITIES[0])
        if self.kind and self.kind not in KINDS:
            raise ValueError(f"{place}: 'kind' is one of {', '.join(KINDS)}, not {self.kind!r:.60}")
        if self.severity not in SEVERITIES:
            raise ValueError(f"{place}: 'severity' is one of {', '.join(SEVERITIES)}, not {self.severity!r:.60}")
        try:
            self._condition = Condition(table["version"]) if "version" in table else None
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None

    def matches(self, package: Package) -> bool:
        """Raises ValueError if the version of the package, or that of the entry, is none of its kind."""
        if self.kind and self.kind != package.kind:
            return False
        if not any(fnmatch.fnmatchcase(name, self.name) for name in {package.name, package.source or package.name}):
            return False
        if not fnmatch.fnmatchcase(package.origin, self.origin):
            return False
        return self._condition is None or self._condition.holds(package.kind, package.version)


class Exemption:
    """An entry of `exceptions`: a vulnerability that does not count until the end of a day."""

    def __init__(self, table: Any, place: str) -> None:
        """Raises ValueError."""
        _check(table, _EXCEPTION_KEYS, place)
        self.id, self.package, self.until = table.get("id", ""), table.get("package", "*"), table.get("until", "")
        self.reason = table.get("reason", "")
        if not self.id:
            raise ValueError(f"{place}: 'id' is missing: that of a vulnerability, such as CVE-2024-3094")
        try:
            self._last_day = day_number(self.until)
        except ValueError as error:
            raise ValueError(f"{place}: 'until' is the last day on which it holds: {error}") from None

    def covers(self, identifiers: Iterable[str], names: Iterable[str]) -> bool:
        """True for this vulnerability in this package, whether the exception still holds or not."""
        return self.id in identifiers and any(fnmatch.fnmatchcase(name, self.package) for name in names)

    def holds(self, day: str) -> bool:
        """True up to its last day."""
        return day_number(day) <= self._last_day


def _check(table: Any, keys: frozenset[str], place: str) -> None:
    if not isinstance(table, dict):
        raise ValueError(f"{place} is a table, not {table!r:.60}")
    for key, value in table.items():
        if key not in keys:
            raise ValueError(f"{place}: {key!r} is no key of it; the keys are {', '.join(sorted(keys))}")
        if not isinstance(value, str):
            raise ValueError(f"{place}: {key!r} is a text, not {value!r:.60}")
