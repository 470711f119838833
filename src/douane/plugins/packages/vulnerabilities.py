"""The known vulnerabilities of the packages of a system."""

from __future__ import annotations

from douane_plugin._units import number_of

from .ranges import position, sort_key
from .systems import LANGUAGES, has_kind, name_in, system_of_guest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Protocol

    from .database import Advisory, Database
    from .inventory import Package, System

    class Gaps(Protocol):
        """Where what was not looked at is recorded."""

        def gap(self, code: str, place: str, why: str) -> None:
            """Record a part."""


UNCOVERED = "packages-uncovered"
NO_VERSION = "packages-no-version"
_BY_SOURCE = ("dpkg", "apk")
"""Kinds whose advisories name the source package; those of rpm name the packages, but for SUSE's."""


class Subject:
    """What advisories are about: a source package, or a package, in a version, as the database names it."""

    __slots__ = ("kind", "name", "system", "version")

    def __init__(self, system: str, kind: str, name: str, version: str) -> None:
        self.system, self.kind, self.name, self.version = system, kind, name, version


class Component:
    """A subject with its packages in an image."""

    def __init__(self, subject: Subject, packages: Sequence[Package]) -> None:
        self.system, self.kind = subject.system, subject.kind
        self.name, self.version = subject.name, subject.version
        self.packages = packages

    @property
    def title(self) -> str:
        """For people."""
        first, more = self.packages[0].name, len(self.packages) - 1
        of = "" if first == self.name and not more else f" (package {first}{f' and {more} more' if more else ''})"
        return f"{self.name} {self.version}{of}"

    def names(self) -> set[str]:
        """Its name, and those of its packages."""
        return {self.name, *(package.name for package in self.packages)}


class Vulnerability:
    """A CVE, or an advisory without one, with the highest severity that an advisory gives it."""

    __slots__ = ("advisories", "fix", "id", "severity")

    def __init__(self, identifier: str) -> None:
        self.id = identifier
        self.severity = 0
        self.fix = ""
        self.advisories: list[str] = []

    @property
    def identifiers(self) -> list[str]:
        """Its number, and those of its advisories."""
        return [self.id, *self.advisories]


class Subjects:
    """What the packages of images are to the database, asked once of each."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subjects: dict[tuple[str, str, str, str], Subject] = {}
        self._by_package: dict[str, dict[Package, Subject | None]] = {}

    def of(self, system: System, gaps: Gaps) -> dict[Subject, list[Package]]:
        """The subjects of a system with their packages. A gap for a system or a language that the database does not
        have, and for packages of another kind than those of the system."""
        name = system_of_guest(system.os)
        subjects = self._by_package.setdefault(name, {})
        groups: dict[Subject, list[Package]] = {}
        uncovered: dict[str, int] = {}
        for package in system.packages:
            if package in subjects:
                subject = subjects[package]
            else:
                subject = subjects[package] = self._subject(package, name)
            if subject is None:
                self._count(package, name, uncovered)
            elif subject in groups:
                groups[subject].append(package)
            else:
                groups[subject] = [package]
        for place, count in uncovered.items():
            packages = f"{'is' if count == 1 else 'are'} {number_of(count, 'package')}"
            why = f"the database has no advisories for {place}, of which {packages}"
            gaps.gap(UNCOVERED, system.volume, why)
        return groups

    def _subject(self, package: Package, system: str) -> Subject | None:
        place = LANGUAGES.get(package.kind, system)
        if package.of_distribution or not self._database.has(place) or not has_kind(place, package.kind):
            return None
        name, version = _named(package, place)
        key = place, package.kind, name, version
        subject = self._subjects.get(key)
        if subject is None:
            subject = self._subjects[key] = Subject(place, package.kind, name_in(place, name), version)
        return subject

    def _count(self, package: Package, system: str, uncovered: dict[str, int]) -> None:
        if not package.of_distribution:
            place = LANGUAGES.get(package.kind, system) or "an unknown system"
            if self._database.has(place):
                place = f"{package.kind} in {place}"
            uncovered[place] = uncovered.get(place, 0) + 1


def _named(package: Package, system: str) -> tuple[str, str]:
    """The name and the version that advisories use."""
    if package.source and (package.kind in _BY_SOURCE or system.startswith(("sles", "opensuse"))):
        return package.source, package.source_version or package.version
    return package.name, package.version


def vulnerabilities_of(component: Component, advisories: Iterable[Advisory]) -> tuple[list[Vulnerability], list[str]]:
    """Those that its version has, in the order of their numbers; and why it could not be compared with advisories."""
    result: dict[str, Vulnerability] = {}
    failures = []
    try:
        key, unknown = sort_key(component.kind, component.version), ""
    except ValueError as error:
        key, unknown = (False, ()), str(error)
    for advisory in advisories:
        if unknown or advisory.failure:
            reason = unknown or advisory.failure
            failures.append(f"{component.title} cannot be compared with {advisory.name}: {reason}")
            continue
        is_affected, fix = position(advisory.ranges, component.kind, component.version, key)
        for identifier in advisory.identifiers if is_affected else ():
            vulnerability = result.get(identifier)
            if vulnerability is None:
                vulnerability = result[identifier] = Vulnerability(identifier)
            vulnerability.severity = max(vulnerability.severity, advisory.severity)
            vulnerability.fix = vulnerability.fix or fix
            vulnerability.advisories.append(advisory.name)
    return [result[identifier] for identifier in sorted(result)], failures
