"""Arch's packages: a folder for each in the local database of pacman."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from douane_guest.budget import Budget
from douane_guest.tree import Tree, try_read

from .base import MAX_TEXT, Package, text

PATHS = ("var/lib/pacman/local/*/desc",)


def read(tree: Tree, budget: Budget) -> Iterator[Package]:
    """See :class:`~.base.Reader`."""
    for item in tree.glob("var/lib/pacman/local/*"):
        budget.step()
        data = try_read(tree, f"{item.path}/desc", MAX_TEXT)
        if data is None:
            continue
        rows = text(data).split("\n")
        fields = dict(pairwise(rows))
        if fields.get("%NAME%"):
            arch, base = fields.get("%ARCH%", ""), fields.get("%BASE%", "")
            version, packager = fields.get("%VERSION%", ""), fields.get("%PACKAGER%", "")
            yield Package("alpm", fields["%NAME%"], version, arch, base, f"{item.path}/desc", origin=packager)
