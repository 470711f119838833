"""Packages of languages that leave a folder or a file of metadata: Python, node, Ruby."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.filesystems.base import FILE, FOLDER, LINK
from douane_guest.tree import Tree
from douane_guest.volume import Item

from .base import MAX_TEXT, Package, text

PYTHON = tuple(
    f"{top}/{folder}"
    for top in ("usr/lib/python*", "usr/lib64/python*", "usr/local/lib/python*", "usr/local/lib64/python*")
    for folder in ("site-packages", "dist-packages")
)
NODE = ("usr/lib/node_modules", "usr/local/lib/node_modules", "usr/share/nodejs", "usr/lib64/node_modules")
RUBY = (
    "usr/lib/ruby/gems/*/specifications",
    "usr/lib64/ruby/gems/*/specifications",
    "usr/share/gems/specifications",
    "usr/share/rubygems-integration/*/specifications",
    "usr/local/lib/ruby/gems/*/specifications",
    "usr/local/bundle/specifications",
    "var/lib/gems/*/specifications",
)
MAX_HEAD = 64 << 10
_PYTHON_FOLDER = re.compile(r".*/([^/]+)\.(?:dist|egg)-info")
_NODE_FILE = re.compile(r"(?:.*/node_modules|/usr/share/nodejs)/(?:@[^/]+/)?[^/@]+/package\.json")
_GEM_FILE = re.compile(r".*/specifications/(?:default/)?([^/]+)\.gemspec")
_GEM_NAME = re.compile(r"(.+?)-([0-9][^-]*)(?:-(.+))?")
_GEM_FIELD = re.compile(r"^\s*s\.(name|version)\s*=\s*(?:Gem::Version\.new\()?[\"']([^\"'\n]+)", re.MULTILINE)


def standard_items(tree: Tree) -> Iterator[Item]:
    """What is in the folders where package managers put these packages; of a folder with several names once."""
    visited: set[str] = set()
    for pattern in PYTHON:
        for path, folder in _folders(tree, pattern, visited):
            yield from _renamed(tree.items(folder), folder, path)
    for patterns in (RUBY, NODE):
        visited = set()  # by the name of another language a folder does not show what it has
        for pattern in patterns:
            for path, folder in _folders(tree, pattern, visited):
                yield from _renamed(tree.walk(folder), folder, path)


def _folders(tree: Tree, pattern: str, visited: set[str]) -> Iterator[tuple[str, str]]:
    """Folders that have these names, or to which links with these names lead; and where they are. Arch has /usr/lib64
    as a link to /usr/lib."""
    for item in tree.glob(pattern):
        try:
            target = tree.stat(item.path)
        except OSError:
            continue
        if target.node.kind == FOLDER and target.path not in visited:
            visited.add(target.path)
            yield item.path, target.path


def _renamed(items: Iterable[Item], folder: str, path: str) -> Iterator[Item]:
    """Items of a folder by the path of the link to it."""
    for item in items:
        yield item._replace(path=path + item.path[len(folder) :])


def read_item(tree: Tree, item: Item, budget: Budget) -> Package | None:
    """The package whose metadata an object is; None if it is none."""
    budget.step()
    python, node, gem = (pattern.fullmatch(item.path) for pattern in (_PYTHON_FOLDER, _NODE_FILE, _GEM_FILE))
    if not (python or node or gem):
        return None
    if item.node.kind == LINK:
        try:
            item = tree.stat(item.path)
        except OSError:
            return None
    if python:
        return _python(tree, item, python[1])
    if item.node.kind != FILE:
        return None
    return _node(item) if node else _gem(item, gem[1] if gem else "")


def _python(tree: Tree, item: Item, stem: str) -> Package | None:
    paths = [f"{item.path}/METADATA", f"{item.path}/PKG-INFO"] if item.node.kind == FOLDER else [item.path]
    for path in paths:
        try:
            file = tree.open(path)
        except OSError:
            continue
        break
    else:
        return None
    fields: dict[str, str] = {}
    for line in text(file.pread(0, min(file.size, MAX_HEAD))).split("\n"):
        if not line.strip():
            break
        name, _, value = line.partition(":")
        fields.setdefault(name.lower(), value.strip())
    name, _, version = stem.partition("-")
    return Package("pypi", fields.get("name", name), fields.get("version", version), path=path)


def _node(item: Item) -> Package | None:
    import json  # 2 ms

    try:
        fields = json.loads(item.open().read_all(MAX_TEXT))
    except (ValueError, RecursionError) as error:
        raise Broken(f"{item.path} is no JSON") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("name"), str):
        return None
    return Package("npm", fields["name"], str(fields.get("version", "")), path=item.path)


def _gem(item: Item, stem: str) -> Package | None:
    fields = dict(_GEM_FIELD.findall(text(item.open().read_all(MAX_TEXT))))
    match = _GEM_NAME.fullmatch(stem)
    name = fields.get("name") or (match[1] if match else stem)
    version = fields.get("version") or (match[2] if match else "")
    return Package("gem", name, version, (match and match[3]) or "", path=item.path)
