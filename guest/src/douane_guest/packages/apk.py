"""Alpine's packages: the installed database of apk(5)."""

from __future__ import annotations

from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.tree import Tree

from .base import Package, paragraphs, text

PATHS = ("lib/apk/db/installed", "usr/lib/apk/db/installed")


def read(tree: Tree, budget: Budget) -> Iterator[Package]:
    """See :class:`~.base.Reader`. Raises Broken at the end if a part names no package, or several."""
    damaged = 0
    for path in PATHS:
        for paragraph in paragraphs(tree, path, budget):
            budget.step()
            rows = [line for line in paragraph.split(b"\n") if line[1:2] == b":"]
            fields = {line[:2]: text(line[2:]) for line in reversed(rows)}
            names = sum(line.startswith(b"P:") for line in rows)
            damaged += bool(paragraph.strip()) and (names != 1 or b"\0" in paragraph or not fields[b"P:"])
            if fields.get(b"P:"):
                yield Package(
                    "apk",
                    fields[b"P:"],
                    fields.get(b"V:", ""),
                    fields.get(b"A:", ""),
                    fields.get(b"o:", ""),
                    "/" + path,
                    origin=fields.get(b"m:", ""),
                )
    if damaged:
        raise Broken(f"{damaged} parts of the database describe no package, or several at once")
