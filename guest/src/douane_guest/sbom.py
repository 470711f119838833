"""The components of a guest for a bill of materials in CycloneDX 1.6: its systems, and their packages.

The JSON is written here: cyclonedx-python-lib takes 2.9 s for 3,000 components, which it validates in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .guest import Guest
from .packages.base import Package, shown
from .packages.purl import purl_of

OS_FIELDS = ("ID", "VERSION_ID", "NAME", "PRETTY_NAME", "CPE_NAME")
"""The fields of os-release that a bill has. A system without any of them has no component."""
_CPE = re.compile(r"cpe:2\.3:[aho*\-](:[!-~]+)+|cpe:/[aho]?(:[\w.\-~%]*){0,6}", re.IGNORECASE)


def components_of(guest: Guest, *, everywhere: bool = False) -> Iterator[dict[str, Any]]:
    """A component for each system, and one for each of its packages, as JSON has them. What cannot be read is in
    `guest.unread`, which is complete after the last of them."""
    return components_of_systems(
        (root.volume.name, guest.os_of(root), guest.packages_of(root, everywhere=everywhere)) for root in guest.roots
    )


def components_of_systems(
    systems: Iterable[tuple[str, Mapping[str, str], Iterable[Package]]],
) -> Iterator[dict[str, Any]]:
    """The same of systems that are known: the name of the volume, the fields of os-release, the packages."""
    references: dict[str, int] = {}
    for volume, fields, packages in systems:
        if any(name in fields for name in OS_FIELDS):
            yield _numbered(_system(fields, volume), references)
        for package in packages:
            yield _numbered(_package(package, fields, volume), references)


def _system(fields: Mapping[str, str], volume: str) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "operating-system",
        "bom-ref": f"os:{shown(fields.get('ID', 'linux'))}@{shown(fields.get('VERSION_ID', ''))}",
        "name": shown(fields.get("ID", "linux")),
    }
    if fields.get("VERSION_ID"):
        component["version"] = shown(fields["VERSION_ID"])
    title = fields.get("PRETTY_NAME") or fields.get("NAME")
    if title:
        component["description"] = shown(title)
    if _CPE.fullmatch(fields.get("CPE_NAME", "")):
        component["cpe"] = fields["CPE_NAME"]
    component["properties"] = [{"name": "douane:volume", "value": shown(volume)}]
    return component


def _package(package: Package, system: Mapping[str, str], volume: str) -> dict[str, Any]:
    url = purl_of(package, system)
    component: dict[str, Any] = {"type": "library", "bom-ref": url, "name": shown(package.name)}
    if package.version:
        component["version"] = shown(package.version)
    component["purl"] = url
    component["properties"] = [{"name": "douane:volume", "value": shown(volume)}]
    if package.source:
        component["properties"].append({"name": "douane:source", "value": shown(package.source)})
    if package.path:
        component["evidence"] = {"occurrences": [{"location": shown(package.path)}]}
    return component


def _numbered(component: dict[str, Any], references: dict[str, int]) -> dict[str, Any]:
    """A reference names one component: the second of the same package gets a number."""
    reference = component["bom-ref"]
    number = references[reference] = references.get(reference, 0) + 1
    if number > 1:
        component["bom-ref"] = f"{reference}#{number}"
    return component
