"""The components of a guest for a bill of materials in CycloneDX 1.6: its systems, and their packages.

The JSON is written here: cyclonedx-python-lib takes 2.9 s for 3,000 components, which it validates in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .guest import Guest
from .packages.base import Package
from .packages.purl import purl_of

_CPE = re.compile(r"cpe:2\.3:[aho*\-](:[!-~]+)+|cpe:/[aho]?(:[\w.\-~%]*){0,6}", re.IGNORECASE)


def components_of(guest: Guest, *, everywhere: bool = False) -> Iterator[dict[str, Any]]:
    """A component for each system, and one for each of its packages, as JSON has them. What cannot be read is in
    `guest.unread`, which is complete after the last of them."""
    references: dict[str, int] = {}
    for root in guest.roots:
        system = guest.os_of(root)
        if system:
            yield _numbered(_system(system, root.volume.name), references)
        for package in guest.packages_of(root, everywhere=everywhere):
            yield _numbered(_package(package, system, root.volume.name), references)


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


def shown(text: str) -> str:
    r"""A text of the guest in UTF-8: other bytes as ``\xff``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
