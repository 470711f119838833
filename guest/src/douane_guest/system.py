"""Which system a tree holds: os-release, or the version in Windows' registry."""

from __future__ import annotations

import shlex

from .budget import Budget
from .hive import Hive
from .roots import WINDOWS
from .tree import Tree, try_read
from .unread import UnreadParts

OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
"""os-release(5): the second where the first is not there."""
MAX_SIZE = 1 << 20
MAX_FIELDS = 256
_VERSION_KEY = ("Microsoft", "Windows NT", "CurrentVersion")
_FIELDS = {
    "ProductName": "NAME",
    "EditionID": "VARIANT_ID",
    "DisplayVersion": "VERSION",
    "CurrentBuild": "BUILD_ID",
    "InstallationType": "VARIANT",
}


def system_of(tree: Tree, budget: Budget, unread: UnreadParts) -> dict[str, str]:
    """The fields of os-release; for Windows the same names; empty if neither is there. Damage raises; a registry that
    was not closed is listed as unread."""
    for path in OS_RELEASE:
        text = try_read(tree, path, MAX_SIZE)
        if text is not None:
            return parse_os_release(text)
    return _windows(tree, budget, unread)


def parse_os_release(text: bytes) -> dict[str, str]:
    """Names and values; lines that are no assignment are left out."""
    fields: dict[str, str] = {}
    for line in text.decode("utf-8", "surrogateescape").split("\n"):
        name, sign, value = line.strip().partition("=")
        if not sign or name.startswith("#") or len(fields) >= MAX_FIELDS:
            continue
        try:
            fields[name] = "".join(shlex.split(value))
        except ValueError:
            fields[name] = value
    return fields


def _windows(tree: Tree, budget: Budget, unread: UnreadParts) -> dict[str, str]:
    try:
        file = tree.open(WINDOWS)
    except OSError:
        return {}
    hive = Hive(file, budget)
    if not hive.clean:
        why = "the registry was not closed, and its logs are not applied: the version of Windows may be another"
        unread.add(f"{tree.volume.name}:/{WINDOWS}", "guest-unclean", why)
    values = hive.values(hive.key(_VERSION_KEY))
    fields = {"ID": "windows"}
    for name, field in _FIELDS.items():
        if isinstance(values.get(name), str):
            fields[field] = str(values[name])
    major, minor = values.get("CurrentMajorVersionNumber"), values.get("CurrentMinorVersionNumber")
    version = f"{major}.{minor}" if isinstance(major, int) else values.get("CurrentVersion", "")
    return {**fields, "VERSION_ID": str(version)}
