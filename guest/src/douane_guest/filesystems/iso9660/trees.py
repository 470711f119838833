"""The two trees of a disc: that of Rock Ridge or ISO 9660, and that of Joliet.

Linux shows one, Windows and boot loaders may show the other, which must have no files of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from douane_guest.budget import Budget
from douane_guest.errors import Broken, GuestError, TooMuch
from douane_guest.filesystems.base import FILE, FOLDER, Entry, Node


class Listed(Protocol):
    """A tree."""

    root: Any

    def node(self, ref: Any) -> Node:
        """An object."""

    def names(self, node: Node, wanted: bytes) -> Iterator[Entry]:
        """The entries of a folder."""


MAX_SECTIONS = 300_000
"""Places of files that are kept to compare them: 30 MiB."""


def fault_of(shown: Listed, second: Listed, budget: Budget) -> GuestError | None:
    """What is wrong if the second tree has bytes of files that the shown one has not."""
    places: set[tuple[int, int]] = set()
    try:
        for section in _sections(shown, budget):
            places.add(section)
            if len(places) > MAX_SECTIONS:
                return TooMuch("the disc has two trees of folders with too many files to compare them")
        if all(section in places for section in _sections(second, budget)):
            return None
    except GuestError as error:
        return error
    return Broken("the disc has two trees of folders, and that which Linux does not show has files of its own")


def _sections(system: Listed, budget: Budget) -> Iterator[tuple[int, int]]:
    """Place and size of all files that have bytes; each folder once."""
    waiting, visited = [system.root], {system.root}
    while waiting:
        node = system.node(waiting.pop())
        for entry in system.names(node, b""):
            budget.step()
            node = system.node(entry.ref)
            if node.kind == FOLDER and node.ref not in visited:
                visited.add(node.ref)
                waiting.append(node.ref)
            elif node.kind == FILE:
                yield from (section for section in node.detail.sections if section[1])
