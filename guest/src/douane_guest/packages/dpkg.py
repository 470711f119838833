"""Debian's packages: deb-status(5), and a file for each package in status.d, as in images without a package manager."""

from __future__ import annotations

from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.tree import Tree

from .base import MAX_TEXT, Package, paragraphs, text

PATHS = ("var/lib/dpkg/status", "var/lib/dpkg/status.d/*")
_FIELDS = (b"package", b"status", b"version", b"architecture", b"source", b"origin", b"maintainer")
_INITIALS = frozenset(letter for field in _FIELDS for letter in (field[:1], field[:1].upper()))
_REMOVED = ("not-installed", "config-files")
"""States of which no program is on the disk. In all others, as "unpacked" and "half-configured", some may be."""


def read(tree: Tree, budget: Budget) -> Iterator[Package]:
    """See :class:`~.base.Reader`. Packages that are removed but for their settings are left out."""
    yield from parse(paragraphs(tree, PATHS[0], budget), "/" + PATHS[0], budget, is_status=True)
    for item in tree.glob(PATHS[1]):
        if not item.path.endswith(".md5sums"):
            yield from parse(paragraphs(tree, item.path, budget, MAX_TEXT), item.path, budget, is_status=False)


def parse(parts: Iterator[bytes], path: str, budget: Budget, *, is_status: bool) -> Iterator[Package]:
    """The packages of a status file. Raises Broken at its end if a part of it names none, or is what damage makes of
    several: dpkg takes no field twice, and what stood between them would be missed."""
    damaged = 0
    for paragraph in parts:
        budget.step()
        fields, is_whole = _fields(paragraph)
        name = fields.get(b"package", "")
        damaged += not is_whole or (not name and bool(paragraph.strip()))
        if not name:
            continue
        if is_status and fields.get(b"status", "").rpartition(" ")[2] in _REMOVED:
            continue
        source, _, source_version = fields.get(b"source", "").partition(" ")
        yield Package(
            "deb",
            name,
            fields.get(b"version", ""),
            fields.get(b"architecture", ""),
            source,
            path,
            source_version.strip("() "),
            fields.get(b"origin") or fields.get(b"maintainer", ""),
        )
    if damaged:
        raise Broken(f"{damaged} parts of {path} describe no package, or several at once")


def _fields(paragraph: bytes) -> tuple[dict[bytes, str], bool]:
    """The fields; and False if one comes twice, or a zero is among the letters. dpkg takes names of fields in any case,
    and blanks before the colon (lib/dpkg/parse.c)."""
    fields: dict[bytes, str] = {}
    is_whole = b"\0" not in paragraph
    for line in paragraph.split(b"\n"):
        if line[:1] not in _INITIALS:  # nine of ten lines
            continue
        name, sign, value = line.partition(b":")
        key = name.rstrip().lower()
        if sign and key in _FIELDS:
            is_whole = is_whole and key not in fields
            fields.setdefault(key, text(value.strip()))
    return fields, is_whole
