"""The package URL of a package, by the rules of its ecosystem (ECMA-427, and purl-spec's definition of each type)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from .base import Package, shown

_DISTRIBUTIONS = {"deb": "debian", "apk": "alpine", "alpm": "arch"}
"""The namespace if os-release does not say which system it is."""
_VENDORS = {"rhel": "redhat", "opensuse-leap": "opensuse", "opensuse-tumbleweed": "opensuse", "sles": "suse"}
"""The namespaces of rpm that are not the ID of os-release."""


def purl_of(package: Package, os: Mapping[str, str]) -> str:
    """`os` has the fields of os-release of the package's system."""
    kind, name, version = package.kind, package.name, package.version
    namespace, qualifiers = "", {"arch": package.arch}
    if kind in _DISTRIBUTIONS or kind == "rpm":
        system = os.get("ID", "").lower()
        namespace = _VENDORS.get(system, system) if kind == "rpm" else system or _DISTRIBUTIONS[kind]
        if system and os.get("VERSION_ID"):
            qualifiers["distro"] = f"{system}-{os['VERSION_ID']}"
        if kind == "rpm" and ":" in version:
            qualifiers["epoch"], _, version = version.partition(":")
        name = name if kind == "rpm" else name.lower()
    elif kind == "npm":
        namespace, _, name = name.lower().rpartition("/")
    elif kind == "pypi":
        name = name.lower().replace("_", "-")
    elif kind == "gem":
        qualifiers = {"platform": package.arch}
    place = "/".join(_quoted(part) for part in (kind, namespace, name) if part)
    text = "&".join(f"{key}={_quoted(value)}" for key, value in sorted(qualifiers.items()) if value)
    return f"pkg:{place}" + (f"@{_quoted(version)}" if version else "") + (f"?{text}" if text else "")


def _quoted(text: str) -> str:
    return quote(shown(text), safe=":")  # a package URL is UTF-8
