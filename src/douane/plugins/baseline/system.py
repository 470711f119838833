"""What the checks look at: a system in the image, and its profile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from douane_guest.facts import TEXT
from douane_guest.facts.accounts import Account, accounts_with_fields
from douane_guest.facts.summary import unmounted
from douane_guest.guest import Guest
from douane_guest.tree import Tree, try_read
from douane_guest.volume import Item, to_text

COMMENT = re.compile(r"#.*")


class System:
    """A system, its profile, and what several checks ask for."""

    def __init__(self, guest: Guest, tree: Tree, profile: str) -> None:
        self.guest = guest
        self.tree = tree
        self.profile = profile

    @cached_property
    def volumes(self) -> list[Tree]:
        """The volumes that no system mounts: one may be its /boot."""
        return unmounted(self.guest)

    @cached_property
    def accounts(self) -> list[tuple[Account, str]]:
        """The accounts, each with its field of shadow."""
        return accounts_with_fields(self.tree)

    def place(self, path: str) -> str:
        """A path of the system, for people."""
        return f"{self.tree.volume.name}:/{path.lstrip('/')}"

    def text(self, path: str) -> str:
        """The text of a file; empty if it is not there."""
        return to_text(try_read(self.tree, path, TEXT) or b"")

    def lines(self, path: str, comment: re.Pattern[str] = COMMENT) -> Iterator[str]:
        """The lines of a file of settings, without comments; those that a backslash continues are one. A comment ends
        with its line, whatever it ends in."""
        parts: list[str] = []
        for text in self.text(path).split("\n"):
            line = comment.sub("", text.rstrip(" \t\r"))
            parts.append(line.removesuffix("\\"))
            if line.endswith("\\") and line == text.rstrip(" \t\r"):
                continue
            if words := " ".join(parts).strip():
                yield words
            parts.clear()
        if words := " ".join(parts).strip():
            yield words

    def items(self, *patterns: str) -> Iterator[Item]:
        """The objects whose paths match one of the patterns."""
        for pattern in patterns:
            yield from self.tree.glob(pattern)


def item_place(item: Item) -> str:
    """The place of an object, for people."""
    return f"{item.volume.name}:{item.path}"
