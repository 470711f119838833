"""Packages of languages that leave a folder or a file of metadata: Python, node, Ruby."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.filesystems.base import FILE, FOLDER
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
    """What is in the folders where package managers put these packages."""
    for pattern in PYTHON:
        for folder in _folders(tree, pattern):
            yield from tree.items(folder)
    for pattern in RUBY:
        for folder in _folders(tree, pattern):
            yield from tree.walk(folder)
    for pattern in NODE:
        for folder in _folders(tree, pattern):
            yield from tree.walk(folder)


def _folders(tree: Tree, pattern: str) -> Iterator[str]:
    for item in tree.glob(pattern):
        if item.node.kind == FOLDER:
            yield item.path


def read_item(tree: Tree, item: Item, budget: Budget) -> Package | None:
    """The package whose metadata an object is; None if it is none."""
    budget.step()
    match = _PYTHON_FOLDER.fullmatch(item.path)
    if match:
        return _python(tree, item, match[1])
    if item.node.kind != FILE:
        return None
    if _NODE_FILE.fullmatch(item.path):
        return _node(item)
    match = _GEM_FILE.fullmatch(item.path)
    return _gem(item, match[1]) if match else None


def _python(tree: Tree, item: Item, stem: str) -> Package | None:
    path = item.path
    if item.node.kind == FOLDER:
        path += "/METADATA" if path.endswith(".dist-info") else "/PKG-INFO"
    try:
        file = tree.open(path)
    except OSError:
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
