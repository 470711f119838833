"""All that a user of a guest reads of an image, with small bounds."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import GuestError
from douane_guest.filesystems.base import FILE, Node
from douane_guest.guest import Guest, open_guest
from douane_guest.packages.registry import READERS as MANAGERS
from douane_guest.source import Source
from douane_guest.volume import Item

STEPS = 300_000
ENTRIES = 20_000
DELIVERED = 64 << 20
MAX_DIGESTED = 16 << 20
"""Of a larger file the first and the last bytes are read: holes have steps, which take a second for 200 MiB."""


class Summary(NamedTuple):
    """What was read."""

    entries: int
    codes: Counter[str]
    """Of what could not be read."""

    listing: dict[tuple[str, str], str]
    """Digests, or targets of links, by volume and path."""


def read_all(source: Source, *, contents: bool = True) -> Summary:
    """Open, system, packages and whose they are, and every object with its attributes, its link, and with `contents`
    its bytes."""
    budget = Budget(steps=STEPS, entries=ENTRIES, delivered=DELIVERED)
    guest = open_guest(source, budget)
    assert isinstance(guest.os, dict)
    guest.packages()
    paths = {package.path for package in guest.packages(everywhere=True)}
    for root in guest.roots:
        guest.installed_files(root, MANAGERS, paths)
    listing: dict[tuple[str, str], str] = {}
    entries = 0
    for item in guest.walk_volumes():
        entries += 1
        try:
            listing[item.volume.name, item.path] = facts_of(item, contents=contents)
        except GuestError as error:
            guest.unread.add_error(f"{item.volume.name}:{item.path}", error)
    _follow_links(guest)
    return Summary(entries, Counter(part.code for part in guest.unread), listing)


def facts_of(item: Item, *, contents: bool) -> str:
    """What is read of an object. Raises the three exceptions."""
    node: Node = item.node
    system = item.volume.system
    system.place(node)
    attributes = system.xattrs(node)
    text = f"{node.kind} {node.mode:o} {node.uid} {node.gid} {node.size} {node.mtime_ns} {sorted(attributes.items())}"
    target = item.link
    if target is not None:
        return f"{text} {target}"
    if node.kind == FILE and contents:
        file = item.open()
        if file.size <= MAX_DIGESTED:
            return f"{text} {file.sha256()}"
        return f"{text} {file.pread(0, 9000)!r} {file.pread(file.size - 9000, 9000)!r}"
    return text


def _follow_links(guest: Guest) -> None:
    """By path, as plugins ask: what is missing is OSError, what is damaged one of the three exceptions."""
    for path in ("etc/os-release", "data/loop", "data/long link", "data/hole", "folder/A LONG NAME 3", "usr/../etc"):
        try:
            guest.stat(path)
            guest.read(path, 1 << 20)
        except (OSError, GuestError):
            continue
