#!/usr/bin/env python3
"""Renew the dates of the end of support: `scripts/support_ends.py CHECKOUT`.

CHECKOUT is one of https://github.com/endoflife-date/endoflife.date (MIT), which follows the pages of the makers.
Debian's and Ubuntu's dates are those of the package distro-info-data, which their own developers keep.
"""

from __future__ import annotations

import csv
import datetime
import re
import subprocess
import sys
from pathlib import Path

TARGET = Path(__file__).parent.parent / "src/douane/plugins/packages/support_end_dates.py"
DISTRO_INFO = Path("/usr/share/distro-info")
SINCE = "2010-01-01"
"""Systems whose support ended earlier are left out: `support_end` says that what is older than the oldest is over."""

PRODUCTS = {
    "alpine": ("alpine-linux",),
    "almalinux": ("almalinux",),
    "amzn": ("amazon-linux",),
    "centos": ("centos", "centos-stream"),
    "fedora": ("fedora",),
    "ol": ("oracle-linux",),
    "opensuse-leap": ("opensuse",),
    "rhel": ("rhel",),
    "rocky": ("rocky-linux",),
    "sles": ("sles",),
}
"""By the ID in os-release. CentOS Linux and CentOS Stream have the same, and the later date counts."""

WINDOWS = ("windows", "windows-server")
"""By the build. Editions of one build have other dates, and the latest counts."""

RELEASE = re.compile(r'^  - releaseCycle: "?([0-9.]+)"?$(.*?)(?=^  - |\Z)', re.M | re.S)
BUILD = re.compile(r"^    latest: [\"']?[0-9]+\.[0-9]+\.([0-9]+)\b", re.M)
END = re.compile(r"^    eol: ([0-9]{4}-[0-9]{2}-[0-9]{2})\b", re.M)


def product_ends(checkout: Path, product: str) -> dict[str, str]:
    """The last day of free updates of each release."""
    git = ["git", "-C", str(checkout), "show", f"HEAD:products/{product}.md"]
    text = subprocess.run(git, check=True, capture_output=True, text=True).stdout.partition("\nreleases:\n")[2]
    matches = ((match[1], END.search(match[2])) for match in RELEASE.finditer(text))
    return {version: end[1] for version, end in matches if end}


def windows_ends(checkout: Path) -> dict[str, str]:
    """The last day of each build, in the edition that has the latest."""
    ends: dict[str, str] = {}
    for product in WINDOWS:
        git = ["git", "-C", str(checkout), "show", f"HEAD:products/{product}.md"]
        text = subprocess.run(git, check=True, capture_output=True, text=True).stdout.partition("\nreleases:\n")[2]
        for release in re.split(r"^  - releaseCycle: ", text, flags=re.M)[1:]:
            end, build = END.search(release), BUILD.search(release)
            if end and build:
                ends[build[1]] = max(end[1], ends.get(build[1], ""))
    return ends


def distro_ends(name: str) -> dict[str, str]:
    """The same of Debian, with LTS, and of Ubuntu, without Pro."""
    with (DISTRO_INFO / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    column = "eol-lts" if name == "debian" else "eol"
    ends = {row["version"].split(" ")[0]: row.get(column) or row["eol"] for row in rows}
    if name == "debian":  # "6.0" is 6, as systems.py names it
        ends = {version.removesuffix(".0"): end for version, end in ends.items()}
    return {version: end for version, end in ends.items() if version and end}


def main() -> None:
    """Write the module."""
    checkout = Path(sys.argv[1])
    ends = {name: distro_ends(name) for name in ("debian", "ubuntu")}
    ends["windows"] = windows_ends(checkout)
    for name, products in PRODUCTS.items():
        ends[name] = {}
        for product in products:
            for version, end in product_ends(checkout, product).items():
                ends[name][version] = max(end, ends[name].get(version, ""))
    show = ["git", "-C", str(checkout), "log", "-1", "--format=%H %cs"]
    commit, day = subprocess.run(show, check=True, capture_output=True, text=True).stdout.split()
    query = ["dpkg-query", "--show", "--showformat=${Version}", "distro-info-data"]
    version = subprocess.run(query, check=True, capture_output=True, text=True).stdout
    lines = [
        '"""When systems lose their support. Written by scripts/support_ends.py: do not edit.',
        "",
        f"Debian and Ubuntu: distro-info-data {version}. Others: endoflife.date, commit {commit[:12]} of {day}.",
        '"""',
        "",
        f'SOURCES_OF = "{day}"',
        '"""The day of the newest source."""',
        "",
        "ENDS = {",
    ]
    for name in sorted(ends):
        lines.append(f'    "{name}": {{')
        rows = sorted(((end, version) for version, end in ends[name].items() if end >= SINCE), reverse=True)
        lines += [f'        "{version}": "{end}",' for end, version in rows]
        lines.append("    },")
    TARGET.write_text("\n".join([*lines, "}", ""]))
    print(f"{TARGET}: {sum(map(len, ends.values()))} releases; today is {datetime.date.today()}")


if __name__ == "__main__":
    main()
