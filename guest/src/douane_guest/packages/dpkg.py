"""Debian's packages: deb-status(5), and a file for each package in status.d, as in images without a package manager."""

from __future__ import annotations

from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.tree import Tree, try_read

from .base import MAX_DATABASE, MAX_TEXT, Package, text

PATHS = ("var/lib/dpkg/status", "var/lib/dpkg/status.d/*")
_FIELDS = (b"package:", b"status:", b"version:", b"architecture:", b"source:")


def read(tree: Tree, budget: Budget) -> Iterator[Package]:
    """See :class:`~.base.Reader`. Packages that are removed but for their settings are left out."""
    data = try_read(tree, PATHS[0], MAX_DATABASE)
    if data is not None:
        yield from parse(data, "/" + PATHS[0], budget, is_status=True)
    for item in tree.glob(PATHS[1]):
        if item.node.kind == "file" and not item.path.endswith(".md5sums"):
            yield from parse(item.open().read_all(MAX_TEXT), item.path, budget, is_status=False)


def parse(data: bytes, path: str, budget: Budget, *, is_status: bool) -> Iterator[Package]:
    """The packages of a status file."""
    for paragraph in data.split(b"\n\n"):
        budget.step()
        fields: dict[bytes, str] = {}
        for line in paragraph.split(b"\n"):
            name, sign, value = line.partition(b":")
            key = name.lower() + sign
            if key in _FIELDS and key not in fields:
                fields[key] = text(value.strip())
        name_of = fields.get(b"package:", "")
        if not name_of or (is_status and not fields.get(b"status:", "").endswith(" installed")):
            continue
        source = fields.get(b"source:", "").partition(" ")[0]
        yield Package("deb", name_of, fields.get(b"version:", ""), fields.get(b"architecture:", ""), source, path)
