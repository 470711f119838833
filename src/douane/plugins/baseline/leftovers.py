"""What builders leave behind, at paths that are known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.volume import Item

from .rules import Finding
from .system import System, item_place

HOMES = ("root", "home/*")


class Leftover(NamedTuple):
    """Files of a rule; those without content are none."""

    rule: str
    patterns: tuple[str, ...]
    sentence: str


def _in_homes(*names: str) -> tuple[str, ...]:
    return tuple(f"{home}/{name}" for home in HOMES for name in names)


LEFTOVERS = (
    Leftover(
        "shell-history",
        _in_homes(".*_history", ".lesshst", ".viminfo"),
        "is a history of what somebody typed; remove it",
    ),
    Leftover(
        "known-hosts",
        _in_homes(".ssh/known_hosts", ".ssh/known_hosts.old"),
        "names hosts of the builder; remove it",
    ),
    Leftover(
        "package-caches",
        ("var/lib/apt/lists/*", "var/cache/apt/*.bin", "var/cache/apt/archives/*.deb"),
        "is a download of apt; run apt-get clean, and empty /var/lib/apt/lists",
    ),
    Leftover(
        "package-caches",
        tuple(f"var/cache/{name}" for name in ("dnf/**", "yum/**", "libdnf5/**", "PackageKit/**")),
        "is a download; run dnf clean all",
    ),
    Leftover("package-caches", ("var/cache/apk/**", "etc/apk/cache/**"), "is a download; run apk cache clean"),
    Leftover(
        "dhcp-leases",
        (
            *("var/lib/dhcp/*.leases*", "var/lib/dhcp3/*.leases*", "var/lib/dhclient/*.lease*"),
            *("var/lib/NetworkManager/*.lease", "var/lib/dhcpcd/*.lease*", "var/lib/udhcpd/*.leases"),
        ),
        "is a lease of the builder's network; remove it",
    ),
    Leftover(
        "core-dumps",
        ("var/lib/systemd/coredump/*", "var/crash/**", "var/lib/apport/coredump/*", "Windows/MEMORY.DMP"),
        "is the memory of a program that crashed; remove it",
    ),
    Leftover(
        "builder-files",
        (
            *_in_homes("anaconda-ks.cfg", "original-ks.cfg", "*-ks.cfg", "*.ks", "preseed.cfg", "packer-*", ".veewee*"),
            *_in_homes("VBoxGuestAdditions*.iso", ".vbox_version", "linux.iso"),
            *("preseed.cfg", "etc/vagrant_box_build_time", "vagrant/**"),
        ),
        "is a file of an installer or a builder; remove it",
    ),
)
TEMPORARY = ("tmp", "var/tmp")
RULES_OF_CARDS = "etc/udev/rules.d/*-net*.rules"
_ADDRESS = re.compile(r"ATTRS?\{address\}")


def check_leftovers(system: System) -> Iterator[Finding]:
    """Files that builders forget: a finding for each kind."""
    for rule, patterns, sentence in LEFTOVERS:
        items = [item for item in system.items(*patterns) if item.node.kind == "file" and item.node.size]
        if rule == "package-caches":
            items = [item for item in items if not item.path.endswith("/lock")]
        yield from _together(rule, items, sentence)
    for folder in TEMPORARY:
        yield from _together("temporary-files", _temporary(system, folder), "is a temporary file; remove it")
    for item in system.items(RULES_OF_CARDS):
        if item.node.kind == "file" and any(_ADDRESS.search(line) for line in system.lines(item.path)):
            yield Finding("network-rules", item_place(item), "names a network card of the builder; remove it")


def _temporary(system: System, folder: str) -> list[Item]:
    """What is in a folder, but for the folders that systems make at each start (`.X11-unix`)."""
    items = system.items(f"{folder}/*")
    return [item for item in items if item.node.kind == "file" or not item.path.startswith(f"/{folder}/.")]


def _together(rule: str, items: list[Item], sentence: str) -> Iterator[Finding]:
    if items:
        more = f"; and {len(items) - 1} more like it" if len(items) > 1 else ""
        yield Finding(rule, item_place(items[0]), sentence + more)
