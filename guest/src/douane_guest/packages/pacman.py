"""Arch's packages: a folder for each in the local database of pacman."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.filesystems.base import FILE
from douane_guest.tree import Tree, try_read

from .base import MAX_TEXT, Package, text

PATHS = ("var/lib/pacman/local/*/desc",)


def read(tree: Tree, budget: Budget) -> Iterator[Package]:
    """See :class:`~.base.Reader`. Raises Broken at the end if a folder does not describe a package."""
    damaged = []
    for item in tree.glob("var/lib/pacman/local/*"):
        budget.step()
        if item.node.kind == FILE:  # the version of the database
            continue
        data = try_read(tree, f"{item.path}/desc", MAX_TEXT)
        rows = text(data or b"").split("\n")
        fields = dict(pairwise(rows))
        if fields.get("%NAME%"):
            arch, base = fields.get("%ARCH%", ""), fields.get("%BASE%", "")
            version, packager = fields.get("%VERSION%", ""), fields.get("%PACKAGER%", "")
            yield Package("alpm", fields["%NAME%"], version, arch, base, f"{item.path}/desc", origin=packager)
        if not fields.get("%NAME%") or b"\0" in (data or b""):
            damaged.append(item.path)
    if damaged:
        raise Broken(f"{len(damaged)} folders of pacman describe no package, such as {damaged[0]}")
