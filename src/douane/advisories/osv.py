"""An advisory of OSV: what the database keeps of it. Source: the schema at https://ossf.github.io/osv-schema/."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from douane.plugins.packages.ranges import affects, sort_key
from douane.plugins.packages.schema import EXACTLY, FIXED, INTRODUCED, LAST_AFFECTED, LIMIT, SEVERITIES
from douane.plugins.packages.systems import name_in, system_of_ecosystem

from .cvss import severity_of

UNKNOWN, CRITICAL = 0, len(SEVERITIES) - 1
_WORDS = {
    **{word: number for number, word in enumerate(SEVERITIES)},
    "negligible": 1,
    "unimportant": 1,
    "moderate": 2,
    "important": 3,
}
_SUMMARY = re.compile(r"(Low|Moderate|Important|Critical): ")
"""AlmaLinux tells the severity there alone."""

_NO_VULNERABILITIES = ("ALBA-", "ALEA-")
"""What the numbers of AlmaLinux's advisories about bugs and enhancements begin with, which OSV has as well."""

MALWARE = "MAL-"
"""What the numbers of advisories about packages begin with that do harm themselves."""


class _Severity(msgspec.Struct):
    type: str = ""
    score: str = ""


class _Event(msgspec.Struct):
    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None

    def bounds(self) -> Iterator[str]:
        pairs = (INTRODUCED, self.introduced), (FIXED, self.fixed), (LAST_AFFECTED, self.last_affected)
        yield from (sign + version for sign, version in (*pairs, (LIMIT, self.limit)) if version is not None)


class _Range(msgspec.Struct):
    type: str
    events: list[_Event] = []


class _Package(msgspec.Struct):
    ecosystem: str
    name: str


class _Affected(msgspec.Struct):
    package: _Package | None = None
    ranges: list[_Range] | None = None
    versions: list[str] | None = None
    severity: list[_Severity] | None = None
    ecosystem_specific: dict[str, Any] | None = None
    database_specific: dict[str, Any] | None = None


class Record(msgspec.Struct):
    """The fields of an advisory that are used."""

    id: str
    modified: str
    withdrawn: str | None = None
    aliases: list[str] | None = None
    upstream: list[str] | None = None
    related: list[str] | None = None
    summary: str | None = None
    severity: list[_Severity] | None = None
    affected: list[_Affected] | None = None
    database_specific: dict[str, Any] | None = None

    def cves(self) -> list[str]:
        """The numbers of CVE that it is about."""
        numbers = [self.id, *(self.aliases or ()), *(self.upstream or ())]
        if self.id.startswith("ALSA-"):  # others list there what is merely alike
            numbers += self.related or ()
        return sorted({number for number in numbers if number.startswith("CVE-")})


class Row(NamedTuple):
    """What an advisory says of a package in a system."""

    system: str
    package: str
    severity: int
    ranges: str


decoder = msgspec.json.Decoder(Record)


def rows_of(record: Record) -> list[Row]:
    """A row for each package in each system that is kept. A package that is listed twice gets the ranges of both."""
    if record.id.startswith(_NO_VULNERABILITIES):
        return []
    ranges: dict[tuple[str, str], list[list[str]]] = {}
    severities: dict[tuple[str, str], int] = {}
    for affected in record.affected or ():
        place = affected.package and system_of_ecosystem(affected.package.ecosystem)
        if not affected.package or not place:
            continue
        kind, system = place
        key = system, name_in(system, affected.package.name)
        bounds = ranges.setdefault(key, [])
        bounds += [part for part in _bounds(affected, kind) if part not in bounds]
        severities[key] = max(severities.get(key, UNKNOWN), _severity(record, affected))
    return [
        Row(system, package, severities[system, package], json.dumps(bounds, separators=(",", ":")))
        for (system, package), bounds in ranges.items()
        if bounds
    ]


def _bounds(affected: _Affected, kind: str) -> list[list[str]]:
    ranges = []
    for item in affected.ranges or ():
        bounds = [bound for event in item.events for bound in event.bounds()]
        if item.type != "GIT" and bounds:
            ranges.append(_in_order(bounds, kind))
    outside = [EXACTLY + version for version in affected.versions or () if not _is_covered(ranges, kind, version)]
    return ranges + ([outside] if outside else [])


def _in_order(bounds: list[str], kind: str) -> list[str]:
    """By version; as they come if one of them is no version, which the inspector will say."""
    try:
        return sorted(bounds, key=lambda bound: sort_key(kind, bound[1:]))
    except ValueError:
        return bounds


def _is_covered(ranges: list[list[str]], kind: str, version: str) -> bool:
    """True if a range has this version, so that it need not be listed: Debian's lists are long."""
    try:
        return affects(ranges, kind, version)[0]
    except ValueError:
        return False


def _severity(record: Record, affected: _Affected) -> int:
    """The word of the distribution, or else the highest score, or else the word of the database or of the summary."""
    if record.id.startswith(MALWARE):
        return CRITICAL
    specific = affected.ecosystem_specific or {}
    scores = affected.severity or record.severity or []
    words = [specific.get("urgency"), specific.get("severity")]
    words += [item.score for item in scores if item.type == "Ubuntu"]
    if word := _highest(words):
        return word
    vectors = [severity_of(item.score) for item in scores if item.type.startswith("CVSS_V3")]
    vectors = vectors or [severity_of(item.score) for item in scores if item.type == "CVSS_V2"]
    words = [(affected.database_specific or {}).get("severity"), (record.database_specific or {}).get("severity")]
    in_summary = _SUMMARY.match(record.summary or "")
    return _highest(vectors) or _highest(words) or _highest([in_summary[1]] if in_summary else [])


def _highest(words: Iterable[object]) -> int:
    return max((_WORDS.get(word.lower(), UNKNOWN) for word in words if isinstance(word, str)), default=UNKNOWN)
