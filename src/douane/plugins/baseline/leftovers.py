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
        "dhcp-leases",
        (
            *("var/lib/dhcp/*.leases*", "var/lib/dhcp3/*.leases*", "var/lib/dhclient/*.lease*"),
            *("var/lib/NetworkManager/*.lease", "var/lib/dhcpcd/*.lease*", "var/lib/udhcpd/*.leases"),
        ),
        "is a lease of the builder's network; remove it",
    ),
    Leftover(
        "builder-files",
        (
            *_in_homes("anaconda-ks.cfg", "original-ks.cfg", "*-ks.cfg", "*.ks", "preseed.cfg", "packer-*", ".veewee*"),
            *_in_homes("VBoxGuestAdditions*.iso", ".vbox_version", "linux.iso"),
            *("preseed.cfg", "etc/vagrant_box_build_time"),
        ),
        "is a file of an installer or a builder; remove it",
    ),
)

FOLDERS = {
    "/var/lib/apt/lists/": ("package-caches", "is a download of apt; run apt-get clean, and empty /var/lib/apt/lists"),
    "/var/cache/apt/": ("package-caches", "is a download of apt; run apt-get clean, and empty /var/lib/apt/lists"),
    "/var/cache/dnf/": ("package-caches", "is a download; run dnf clean all"),
    "/var/cache/yum/": ("package-caches", "is a download; run yum clean all"),
    "/var/cache/libdnf5/": ("package-caches", "is a download; run dnf clean all"),
    "/var/cache/PackageKit/": ("package-caches", "is a download; remove it"),
    "/var/cache/apk/": ("package-caches", "is a download; run apk cache clean"),
    "/etc/apk/cache/": ("package-caches", "is a download; run apk cache clean"),
    "/var/lib/systemd/coredump/": ("core-dumps", "is the memory of a program that crashed; remove it"),
    "/var/lib/apport/coredump/": ("core-dumps", "is the memory of a program that crashed; remove it"),
    "/var/crash/": ("core-dumps", "is the memory of a program that crashed; remove it"),
    "/Windows/MEMORY.DMP": ("core-dumps", "is the memory of a system that crashed; remove it"),
    "/Windows/Minidump/": ("core-dumps", "is the memory of a system that crashed; remove it"),
    "/var/log/": ("logs", "is a log of the builder; empty it"),
    "/tmp/": ("temporary-files", "is a temporary file; remove it"),  # noqa: S108  # of the guest
    "/var/tmp/": ("temporary-files", "is a temporary file; remove it"),  # noqa: S108  # of the guest
    "/vagrant/": ("builder-files", "is a file of a builder; remove it"),
}
"""Folders, and files, in which a file with content breaks a rule. They are looked at in the walk: a folder may hold
millions of files."""
_PREFIXES = tuple(FOLDERS)
_NO_CONTENT = ("/lock", "/lastlog", "/faillog", "/tallylog", "/README")
"""A lock; logs whose size says nothing; what explains an empty folder."""
_EACH_START = tuple(f"/.{name}-unix" for name in ("X11", "ICE", "XIM", "font", "Test"))
"""Folders that systems make in /tmp at each start."""
RULES_OF_CARDS = "etc/udev/rules.d/*-net*.rules"
_ADDRESS = re.compile(r"ATTRS?\{address\}")


def check_leftovers(system: System) -> Iterator[Finding]:
    """Files that builders forget: a finding for each kind."""
    for rule, patterns, sentence in LEFTOVERS:
        items = [item for item in system.items(*patterns) if item.node.kind == "file" and item.node.size]
        yield from _together(rule, items, sentence)
    for item in system.items(RULES_OF_CARDS):
        if item.node.kind == "file" and any(_ADDRESS.search(line) for line in system.lines(item.path)):
            yield Finding("network-rules", item_place(item), "names a network card of the builder; remove it")


def folder_of(path: str) -> str:
    """The folder of `FOLDERS` in which a file breaks a rule; empty if it breaks none."""
    if not path.startswith(_PREFIXES):
        return ""
    parent = path.rpartition("/")[0]
    if path.endswith(_NO_CONTENT) or parent.endswith(_EACH_START):
        return ""
    return next(folder for folder in FOLDERS if path.startswith(folder))


def _together(rule: str, items: list[Item], sentence: str) -> Iterator[Finding]:
    if items:
        more = f"; and {len(items) - 1} more like it" if len(items) > 1 else ""
        yield Finding(rule, item_place(items[0]), sentence + more)
