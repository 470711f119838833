"""The names under which the database of advisories keeps the systems and ecosystems: ``debian:12``, ``pypi``.

Source: the list of ecosystems in the schema of OSV, and what os-release(5) says in each system.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LANGUAGES = {"python": "pypi", "node": "npm", "gem": "rubygems"}
"""By the kind of their packages."""

_WITHOUT_VERSION = {
    "PyPI": ("python", "pypi"),
    "npm": ("node", "npm"),
    "RubyGems": ("gem", "rubygems"),
    "Wolfi": ("apk", "wolfi"),
    "Chainguard": ("apk", "chainguard"),
    "openSUSE:Tumbleweed": ("rpm", "opensuse-tumbleweed"),
}
_PATTERNS = (
    ("dpkg", "debian", re.compile(r"Debian:([0-9]+)")),
    ("dpkg", "ubuntu", re.compile(r"Ubuntu:([0-9]+\.[0-9]+)(?::LTS)?")),
    ("apk", "alpine", re.compile(r"Alpine:v?([0-9]+\.[0-9]+)")),
    ("rpm", "rocky", re.compile(r"Rocky Linux:([0-9]+)(?:\.[0-9]+)?")),
    ("rpm", "almalinux", re.compile(r"AlmaLinux:([0-9]+)(?:\.[0-9]+)?")),
    ("rpm", "rhel", re.compile(r"Red Hat:enterprise_linux:([0-9]+)(?:\.[0-9]+)?(?::.*)?")),
    ("rpm", "mageia", re.compile(r"Mageia:([0-9]+)")),
    ("rpm", "opensuse-leap", re.compile(r"openSUSE:Leap ([0-9]+\.[0-9]+)")),
    ("rpm", "sles", re.compile(r"SUSE:Linux Enterprise (?:Server|Module for [\w -]+?) ([0-9]+(?: SP[0-9]+)?)")),
)
_KINDS = {system: kind for kind, system in (*_WITHOUT_VERSION.values(), *(each[:2] for each in _PATTERNS))}
_ALIASES = {"sles_sap": "sles", "opensuse": "opensuse-leap"}
_MAJOR = frozenset(("debian", "rocky", "almalinux", "rhel", "mageia", "centos", "ol"))
"""Systems whose minor versions share their advisories."""

_VERSION = re.compile(r"([0-9]+)(?:\.([0-9]+))?(?:\.[0-9]+)*")


def system_of_ecosystem(ecosystem: str) -> tuple[str, str] | None:
    """The kind of the packages and the system of an ecosystem of OSV; None for one that is not taken."""
    if ecosystem in _WITHOUT_VERSION:
        return _WITHOUT_VERSION[ecosystem]
    for kind, system, pattern in _PATTERNS:
        if match := pattern.fullmatch(ecosystem):
            return kind, f"{system}:{match[1].replace(' SP', '.')}"
    return None


def system_of_guest(fields: Mapping[str, str]) -> str:
    """The system that os-release describes, such as ``ubuntu:22.04``; empty if it does not say."""
    system = fields.get("ID", "").lower()
    system = _ALIASES.get(system, system)
    if system == "windows":
        return f"{system}:{fields['BUILD_ID']}" if fields.get("BUILD_ID") else system
    match = _VERSION.fullmatch(fields.get("VERSION_ID", ""))
    if match is None or system in ("wolfi", "chainguard", "opensuse-tumbleweed"):
        return system
    if system in _MAJOR or match[2] is None:
        return f"{system}:{match[1]}"
    return f"{system}:{match[1]}.{match[2]}"


def has_kind(system: str, kind: str) -> bool:
    """True if the advisories of a system are about packages of this kind: those of Alpine say nothing of dpkg's."""
    return _KINDS.get(system.partition(":")[0]) == kind


def name_in(system: str, package: str) -> str:
    """The name of a package as the database keeps it: Python's are the same in any case, with ``-``, ``_`` or ``.``."""
    return re.sub(r"[-_.]+", "-", package).lower() if system == "pypi" else package
