"""What the known vulnerabilities of a system mean for the image."""

from __future__ import annotations

from douane.plugins._judgement import NOTE, REFUSE, WARN

from .schema import SEVERITIES
from .vulnerabilities import UNCOVERED, components_of, vulnerabilities_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from douane.plugins._judgement import Judgement
    from douane_plugin import GuestRoot

    from .database import Database
    from .lists import Exemption
    from .vulnerabilities import Component, Vulnerability

VULNERABLE = "packages-vulnerable"
EXPIRED = "packages-exception-expired"
INCOMPLETE = "incomplete"
MAX_SHOWN = 5
"""Vulnerabilities of a package in a message."""

MAX_LISTED = 600
"""Vulnerabilities in the document, the most severe ones."""

MAX_TEXT = 100


class Gaps:
    """Records what was not looked at, as the operator says: the image is incomplete, or the tenant is warned."""

    def __init__(self, judgement: Judgement, unread: str, uncovered: str) -> None:
        self._judgement = judgement
        self._unread, self._uncovered = unread, uncovered

    def gap(self, code: str, place: str, why: str) -> None:
        """As :meth:`Judgement.gap`."""
        setting = self._uncovered if code == UNCOVERED else self._unread
        if setting == INCOMPLETE:
            self._judgement.gap(code, place, why)
        elif setting == WARN:
            self._judgement.match(WARN, code, place, why)


class Rules:
    """What the operator says about known vulnerabilities."""

    def __init__(self, refuse: str, warn: str, unfixed: str, unknown: str, exemptions: Sequence[Exemption]) -> None:
        self._refuse, self._warn = _level(refuse), _level(warn)
        self._unfixed = unfixed
        self._unknown = _level(unknown)
        self.exemptions = exemptions

    def level(self, vulnerability: Vulnerability) -> int:
        """The position of its severity; that of one that is not known is what the operator says."""
        return vulnerability.severity or self._unknown

    def severity(self, vulnerability: Vulnerability) -> str:
        """``refuse``, ``warn`` or ``note``."""
        level = self.level(vulnerability)
        severity = REFUSE if level >= self._refuse else WARN if level >= self._warn else NOTE
        if vulnerability.fix or severity == NOTE or self._unfixed == REFUSE:
            return severity
        return WARN if self._unfixed == WARN else NOTE


def _level(word: str) -> int:
    return SEVERITIES.index(word) if word in SEVERITIES else len(SEVERITIES)


class VulnerabilityJudge:
    """Judges one system after the other, and counts."""

    def __init__(self, rules: Rules, judgement: Judgement, database: Database, day: str, gaps: Gaps) -> None:
        self._rules, self._judgement, self._database = rules, judgement, database
        self._day = day
        self._gaps = gaps
        self._counts = dict.fromkeys(SEVERITIES[:0:-1], 0)
        self._excepted = 0
        self._expired: dict[Exemption, None] = {}
        self.listed: list[tuple[int, str, str, str, str]] = []

    def judge(self, root: GuestRoot, system: str) -> None:
        """Record the vulnerabilities of a system."""
        for component in components_of(root, system, self._database, self._gaps):
            self._judge_component(component, root)

    def _judge_component(self, component: Component, root: GuestRoot) -> None:
        groups: dict[str, list[Vulnerability]] = {}
        names = component.names()
        for vulnerability in vulnerabilities_of(component, self._database, self._gaps):
            if self._is_excepted(vulnerability, names):
                self._excepted += 1
                continue
            level = self._rules.level(vulnerability)
            self._counts[SEVERITIES[level]] += 1
            self.listed.append((-level, vulnerability.id, component.name, component.version, vulnerability.fix))
            groups.setdefault(self._rules.severity(vulnerability), []).append(vulnerability)
        place = f"{root.volume.name}:{component.packages[0].path}"
        for severity in (REFUSE, WARN):
            if severity in groups:
                self._record(severity, place, component, groups[severity])
        if len(self.listed) > 2 * MAX_LISTED:
            self.listed = sorted(self.listed)[:MAX_LISTED]

    def _is_excepted(self, vulnerability: Vulnerability, names: set[str]) -> bool:
        matching = [item for item in self._rules.exemptions if item.covers(vulnerability.identifiers, names)]
        if any(item.holds(self._day) for item in matching):
            return True
        self._expired |= dict.fromkeys(matching)
        return False

    def _record(self, severity: str, place: str, component: Component, group: list[Vulnerability]) -> None:
        group = sorted(group, key=self._rules.level, reverse=True)
        shown = ", ".join(
            f"{item.id} ({SEVERITIES[self._rules.level(item)]}{'' if item.fix else ', without a fix'})"
            for item in group[:MAX_SHOWN]
        )
        more = f" and {len(group) - MAX_SHOWN} more" if len(group) > MAX_SHOWN else ""
        self._judgement.match(
            severity,
            VULNERABLE,
            place,
            f"{component.title:.200} has {shown}{more}{_remedy(component, group)}",
            package=component.name[:MAX_TEXT],
            version=component.version[:MAX_TEXT],
            count=len(group),
        )

    def finish(self) -> dict[str, str | int]:
        """The properties, after the last system. Says which exceptions have expired."""
        for item in self._expired:
            sentence = f"the exception for {item.id} ended on {item.until}, so it counts again"
            self._judgement.match(WARN, EXPIRED, item.package, sentence)
        return {"cve_date": self._database.date, **self._counts, "excepted": self._excepted}

    def document(self) -> dict[str, Any]:
        """The most severe vulnerabilities, as rows; the properties count them all."""
        rows = sorted(self.listed)[:MAX_LISTED]
        return {
            "columns": ["severity", "id", "package", "version", "fixed"],
            "rows": [[SEVERITIES[-level], *(text[:MAX_TEXT] for text in texts)] for level, *texts in rows],
            "count": sum(self._counts.values()),
        }


def _remedy(component: Component, group: list[Vulnerability]) -> str:
    """What the tenant can do: the version that has the last of the fixes."""
    from .ranges import sort_key

    fixes = [item.fix for item in group if item.fix]
    if not fixes:
        return ""
    return f"; update it to {max(fixes, key=lambda fix: sort_key(component.kind, fix))}"
