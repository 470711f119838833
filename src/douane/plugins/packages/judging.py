"""What the known vulnerabilities of a system mean for the image."""

from __future__ import annotations

from douane.plugins._judgement import NOTE, REFUSE, WARN
from douane_plugin._json import dumps

from .schema import SEVERITIES
from .vulnerabilities import NO_VERSION, UNCOVERED, Component, Subjects, vulnerabilities_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from douane.plugins._judgement import Judgement

    from .database import Advisory, Database
    from .inventory import Package, System
    from .lists import Exemption
    from .vulnerabilities import Subject, Vulnerability

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


class Effect:
    """What a component means for any image that has it."""

    __slots__ = ("counts", "excepted", "expired", "failures", "listed", "matches")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.excepted = 0
        self.expired: list[Exemption] = []
        self.failures: list[str] = []
        self.listed: list[tuple[int, str, str, str, str]] = []
        self.matches: list[Match] = []


NO_EFFECT = Effect()


class Match:
    """Vulnerabilities of a component that refuse an image, or warn of it. The sentence is made when it is needed."""

    __slots__ = ("_component", "_group", "_rules", "_sentence", "severity")

    def __init__(self, severity: str, component: Component, group: list[Vulnerability], rules: Rules) -> None:
        self.severity = severity
        self._component, self._group, self._rules = component, group, rules
        self._sentence = ""

    def sentence(self) -> str:
        """For the tenant."""
        if not self._sentence:
            component, level = self._component, self._rules.level
            group = sorted(self._group, key=level, reverse=True)
            shown = ", ".join(
                f"{item.id} ({SEVERITIES[level(item)]}{'' if item.fix else ', without a fix'})"
                for item in group[:MAX_SHOWN]
            )
            more = f" and {len(group) - MAX_SHOWN} more" if len(group) > MAX_SHOWN else ""
            self._sentence = f"{component.title:.200} has {shown}{more}{_remedy(component, group)}"
        return self._sentence

    def facts(self) -> dict[str, Any]:
        """For the operator."""
        component = self._component
        return {
            "package": component.name[:MAX_TEXT],
            "version": component.version[:MAX_TEXT],
            "count": len(self._group),
        }


class ComponentJudge:
    """Asks the database about each component once, however many images have it."""

    def __init__(self, rules: Rules, database: Database, day: str) -> None:
        self.database = database
        self.subjects = Subjects(database)
        self._rules, self._day = rules, day
        self._effects: dict[tuple[object, ...], Effect] = {}
        self._advisories: dict[tuple[str, str, str], list[Advisory]] = {}

    def effect(self, subject: Subject, packages: Sequence[Package]) -> Effect:
        """Raises Incomplete if the database cannot be read."""
        key = subject, *packages
        effect = self._effects.get(key)
        if effect is None:
            advisories = self._advisories_of(subject)
            effect = self._judge(Component(subject, packages), advisories) if advisories else NO_EFFECT
            self._effects[key] = effect
        return effect

    def _judge(self, component: Component, advisories: list[Advisory]) -> Effect:
        effect = Effect()
        groups: dict[str, list[Vulnerability]] = {}
        names = component.names()
        vulnerabilities, effect.failures = vulnerabilities_of(component, advisories)
        for vulnerability in vulnerabilities:
            if self._is_excepted(vulnerability, names, effect):
                effect.excepted += 1
                continue
            level = self._rules.level(vulnerability)
            word = SEVERITIES[level]
            effect.counts[word] = effect.counts.get(word, 0) + 1
            effect.listed.append((-level, vulnerability.id, component.name, component.version, vulnerability.fix))
            groups.setdefault(self._rules.severity(vulnerability), []).append(vulnerability)
        effect.listed = sorted(effect.listed)[:MAX_LISTED]
        effect.matches = [
            Match(severity, component, groups[severity], self._rules)
            for severity in (REFUSE, WARN)
            if severity in groups
        ]
        return effect

    def _advisories_of(self, subject: Subject) -> list[Advisory]:
        key = subject.system, subject.kind, subject.name
        advisories = self._advisories.get(key)
        if advisories is None:
            advisories = self._advisories[key] = self.database.advisories(*key)
        return advisories

    def _is_excepted(self, vulnerability: Vulnerability, names: set[str], effect: Effect) -> bool:
        if not self._rules.exemptions:
            return False
        matching = [item for item in self._rules.exemptions if item.covers(vulnerability.identifiers, names)]
        if any(item.holds(self._day) for item in matching):
            return True
        effect.expired += matching
        return False


class VulnerabilityJudge:
    """Judges the systems of one image, one after the other, and counts."""

    def __init__(self, components: ComponentJudge, judgement: Judgement, gaps: Gaps) -> None:
        self._components, self._judgement, self._gaps = components, judgement, gaps
        self._counts = dict.fromkeys(SEVERITIES[:0:-1], 0)
        self._excepted = 0
        self._expired: dict[Exemption, None] = {}
        self.listed: list[tuple[int, str, str, str, str]] = []

    def judge(self, system: System) -> None:
        """Record the vulnerabilities of a system."""
        for subject, packages in self._components.subjects.of(system, self._gaps).items():
            effect = self._components.effect(subject, packages)
            if effect.listed or effect.excepted or effect.failures:
                self._add(effect, system.volume, packages[0].path)

    def _add(self, effect: Effect, volume: str, path: str) -> None:
        for failure in effect.failures:
            self._gaps.gap(NO_VERSION, path, failure)
        for word, count in effect.counts.items():
            self._counts[word] += count
        self._excepted += effect.excepted
        if effect.expired:
            self._expired |= dict.fromkeys(effect.expired)
        self.listed += effect.listed
        if len(self.listed) > 4 * MAX_LISTED:
            self.listed = sorted(self.listed)[:MAX_LISTED]
        for match in effect.matches:
            if self._judgement.only_counts(match.severity):
                self._judgement.counts[match.severity] += 1
            else:
                place, sentence = f"{volume}:{path}", match.sentence()
                self._judgement.match(match.severity, VULNERABLE, place, sentence, **match.facts())

    def finish(self) -> dict[str, str | int]:
        """The properties, after the last system. Says which exceptions have expired."""
        for item in self._expired:
            sentence = f"the exception for {item.id} ended on {item.until}, so it counts again"
            self._judgement.match(WARN, EXPIRED, item.package, sentence)
        return {"cve_date": self._components.database.date, **self._counts, "excepted": self._excepted}

    def document(self, room: int) -> dict[str, Any]:
        """The most severe vulnerabilities, as rows, in so many bytes; the properties count them all."""
        rows = []
        for level, *texts in sorted(self.listed)[:MAX_LISTED]:
            row = [SEVERITIES[-level], *(text[:MAX_TEXT] for text in texts)]
            room -= len(dumps(row)) + 1
            if room < 0:
                break
            rows.append(row)
        columns = ["severity", "id", "package", "version", "fixed"]
        return {"columns": columns, "rows": rows, "count": sum(self._counts.values())}


def _remedy(component: Component, group: list[Vulnerability]) -> str:
    """What the tenant can do: the version that has the last of the fixes."""
    from .ranges import sort_key

    fixes = [item.fix for item in group if item.fix]
    if not fixes:
        return ""
    return f"; update it to {max(fixes, key=lambda fix: sort_key(component.kind, fix))}"
