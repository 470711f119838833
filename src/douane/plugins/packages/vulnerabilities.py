"""The known vulnerabilities of the packages of a system."""

from __future__ import annotations

from .database import Database
from .ownership import MANAGERS, is_of_distribution
from .ranges import affects
from .systems import LANGUAGES, name_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from douane_plugin import GuestPackage, GuestRoot

    class Gaps(Protocol):
        """Where what was not looked at is recorded."""

        def gap(self, code: str, place: str, why: str) -> None:
            """Record a part."""


UNCOVERED = "packages-uncovered"
NO_VERSION = "packages-no-version"
_BY_SOURCE = ("dpkg", "apk")
"""Kinds whose advisories name the source package; those of rpm name the packages, but for SUSE's."""


class Component:
    """What advisories are about: a source package, or a package, in a version; and the packages of it."""

    def __init__(self, system: str, kind: str, name: str, version: str) -> None:
        self.system, self.kind, self.name, self.version = system, kind, name, version
        self.packages: list[GuestPackage] = []

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


def components_of(root: GuestRoot, system: str, database: Database, gaps: Gaps) -> list[Component]:
    """What the advisories of the database can be about. A gap for a system or a language that it does not have."""
    components: dict[tuple[str, str, str], Component] = {}
    uncovered: dict[str, int] = {}
    packages = root.packages()
    is_managed = any(package.kind in MANAGERS for package in packages)
    for package in packages:
        if package.kind in LANGUAGES and is_managed and is_of_distribution(package, root):
            continue
        place = LANGUAGES.get(package.kind, system)
        if not database.has(place):
            uncovered[place or "an unknown system"] = uncovered.get(place or "an unknown system", 0) + 1
            continue
        name, version = _subject(package, place)
        component = components.setdefault(
            (place, name, version), Component(place, package.kind, name_in(place, name), version)
        )
        component.packages.append(package)
    for place, count in uncovered.items():
        gaps.gap(
            UNCOVERED, root.volume.name, f"the database has no advisories for {place}, of which are {count} packages"
        )
    return list(components.values())


def _subject(package: GuestPackage, system: str) -> tuple[str, str]:
    """The name and the version that advisories use."""
    if package.source and (package.kind in _BY_SOURCE or system.startswith(("sles", "opensuse"))):
        return package.source, package.source_version or package.version
    return package.name, package.version


def vulnerabilities_of(component: Component, database: Database, gaps: Gaps) -> Iterator[Vulnerability]:
    """Those that its version has, in the order of their numbers."""
    result: dict[str, Vulnerability] = {}
    for advisory in database.advisories(component.system, component.name):
        try:
            is_affected, fix = affects(advisory.ranges, component.kind, component.version)
        except ValueError as error:
            package = component.packages[0]
            gaps.gap(NO_VERSION, package.path, f"{component.title} cannot be compared with {advisory.name}: {error}")
            continue
        for identifier in advisory.identifiers if is_affected else ():
            vulnerability = result.setdefault(identifier, Vulnerability(identifier))
            vulnerability.severity = max(vulnerability.severity, advisory.severity)
            vulnerability.fix = vulnerability.fix or fix
            vulnerability.advisories.append(advisory.name)
    for identifier in sorted(result):
        yield result[identifier]
