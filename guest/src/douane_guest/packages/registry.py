"""The databases of packages: one line each, and how all of them are read."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import cast

from douane_guest.budget import Budget
from douane_guest.errors import GuestError, TooMuch
from douane_guest.tree import Tree
from douane_guest.unread import UnreadParts

from . import languages
from .base import Package, Reader

MAX_PACKAGES = 50_000
MAX_TEXT = 16 << 20
"""Of all names, versions and paths: a list of packages is kept in memory."""
READERS = ("dpkg", "rpm", "apk", "pacman")
"""Modules of this package with a function `read` (:class:`~.base.Reader`)."""


def packages_of(tree: Tree, budget: Budget, unread: UnreadParts, *, everywhere: bool = False) -> Iterator[Package]:
    """The packages of a system. A database that is damaged is listed as unread from where it is."""
    length = 0
    for count, package in enumerate(_all_packages(tree, budget, unread, everywhere=everywhere)):
        length += sum(map(len, package))
        if count >= MAX_PACKAGES or length > MAX_TEXT:
            why = f"there are more than {MAX_PACKAGES} packages, or their names have more than {MAX_TEXT} letters"
            unread.add(f"{tree.volume.name}: packages", TooMuch.code, why)
            return
        yield package


def _all_packages(tree: Tree, budget: Budget, unread: UnreadParts, *, everywhere: bool) -> Iterator[Package]:
    for name in READERS:
        reader = cast("Reader", import_module(f"douane_guest.packages.{name}"))
        try:
            yield from reader.read(tree, budget)
        except GuestError as error:
            unread.add_error(f"{tree.volume.name}: the packages of {name}", error)
    try:
        for item in tree.walk() if everywhere else languages.standard_items(tree):
            try:
                package = languages.read_item(tree, item, budget)
            except TooMuch:
                raise
            except GuestError as error:
                unread.add_error(f"{item.volume.name}:{item.path}", error)
                continue
            if package is not None:
                yield package
    except GuestError as error:
        unread.add_error(f"{tree.volume.name}: the packages of languages", error)
