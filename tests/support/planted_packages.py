"""Images with packages, and the files of OSV about them."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OS_RELEASE = "ID=debian\nVERSION_ID=12\n"
STATUS = """\
Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.0.1-1
Maintainer: Debian OpenSSL Team <x@lists.debian.org>

Package: gcc
Status: install ok installed
Architecture: amd64
Source: gcc-defaults (1.203)
Version: 4:12.2.0-3
Maintainer: Debian GCC Maintainers <x@lists.debian.org>

Package: telnetd
Status: install ok installed
Architecture: all
Version: 0.17-44
Maintainer: Debian QA Group <x@qa.debian.org>

"""
WHEEL = {
    "usr/local/lib/python3.11/dist-packages/jinja2-3.1.1.dist-info/METADATA": "Name: Jinja2\nVersion: 3.1.1\n\n",
    "usr/local/lib/python3.11/dist-packages/jinja2-3.1.1.dist-info/INSTALLER": "pip\n",
}
CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
MEDIUM = "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:L/A:L"


def planted_tree(status: str = STATUS, **more: str) -> dict[str, str]:
    """The files of a Debian 12 with these packages, by path."""
    return {"etc/os-release": OS_RELEASE, "var/lib/dpkg/status": status, **more}


def image_of(files: Mapping[str, str], folder: Path) -> Path:
    """An ext4 image with these files, by mkfs.ext4."""
    for path, content in files.items():
        place = folder / "tree" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    image = folder / "disk.img"
    subprocess.run(["mkfs.ext4", "-q", "-d", folder / "tree", image, "8M"], check=True)
    return image


def advisory(name: str, *affected: dict[str, Any], vector: str | None = CRITICAL, **fields: Any) -> dict[str, Any]:
    """An advisory as OSV exports it."""
    record: dict[str, Any] = {"schema_version": "1.7.0", "id": name, "modified": "2026-11-29T12:00:00Z", **fields}
    if vector:
        record["severity"] = [{"type": "CVSS_V3", "score": vector}]
    return {**record, "affected": list(affected)}


def affected(ecosystem: str, name: str, *events: str, versions: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    """A part of an advisory. An event is such as ``fixed 1.2``; the range begins at 0."""
    bounds = [{"introduced": "0"}] + [dict([event.split(" ", 1)]) for event in events]
    ranges = [] if versions and not events else [{"type": "ECOSYSTEM", "events": bounds}]
    package = {"ecosystem": ecosystem, "name": name}
    return {"package": package, "ranges": ranges, "versions": list(versions), **fields}


ADVISORIES = [
    advisory("DEBIAN-CVE-2024-1", affected("Debian:12", "openssl", "fixed 3.0.2-1"), upstream=["CVE-2024-1"]),
    advisory("DEBIAN-CVE-2024-2", affected("Debian:12", "netkit-telnet"), affected("Debian:12", "telnetd")),
    advisory("GHSA-a", affected("PyPI", "jinja2", "fixed 3.1.3"), aliases=["CVE-2024-3"], vector=MEDIUM),
]


def osv_zip(path: Path, records: list[dict[str, Any]]) -> Path:
    """A file as OSV exports it: an advisory in each member."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, record in enumerate(records):
            archive.writestr(f"{number}-{record['id']}.json", json.dumps(record))
    return path
