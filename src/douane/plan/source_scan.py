"""Static analysis of a plugin's source: the text is parsed, never run."""

from __future__ import annotations

import ast
import contextlib
import functools
import threading
from collections.abc import Collection

import msgspec

from douane.errors import PlanError
from douane.units import MiB

from .regular_files import read_regular
from .request_scan import Requests, RequestScan, last_name, merged_requests

MAX_SOURCE = 16 * MiB
_BASES = ("Inspector", "Transform")
_FILE_READERS = ("random", "guest", "guest+findings")
"""Values of `reads` for which a plugin gets the file of the image."""

UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)

_PARSING = threading.Lock()
_MAX_TRIES = 20
"""CPython 3.11 counts the depth of a tree that it builds for all threads together, and raises SystemError when another
thread parses meanwhile (python/cpython, issue 106905). The lock holds back our own threads alone. oslo.policy parses a
literal for each request to Glance: such a tree is built in microseconds, so another try meets none."""

_MAX_KINDS = 256
"""Classes whose kind is kept: far more than the plugins of one plan."""


_TELLING = ("Transform", *_FILE_READERS, '"files"', "'files'")
"""Without any of these in its source, a class is an inspector that reads a stream."""


class Kind(msgspec.Struct, frozen=True):
    """The facts about a class that decide what its process is started with."""

    is_transform: bool = False
    reads_file: bool = False
    """It reads at random, or through the guest view: it gets a descriptor of the image."""

    reads_guest_files: bool = False
    """It reads the files in the image, from a ring that a reader fills."""

    reads_at_random: bool = False
    """It, or a program that it starts, may read all of the image's file."""


def kind_of(is_transform: bool, reads: str) -> Kind:
    """The kind of a class that has described itself; `reads` is its word."""
    return Kind(is_transform, reads in _FILE_READERS, reads == "files", reads == "random")


def parse_source(source: str) -> ast.Module:
    """Parse Python. Raises SyntaxError, ValueError, RecursionError, MemoryError."""
    with _PARSING:
        for _ in range(_MAX_TRIES - 1):
            with contextlib.suppress(SystemError):
                return ast.parse(source)
        return ast.parse(source)


def scan_kind(source: str, attribute: str) -> Kind:
    """The kind of the class `attribute`, as far as its statement shows.

    The process is started with descriptors that depend on the kind. A wrong guess costs a second start, so a class
    that inherits these facts from another file still works. A plan is resolved for every image, and its plugins' code
    is the same each time: what was parsed once is not parsed again.
    """
    if not any(word in source for word in _TELLING):
        return Kind()  # without parsing, which takes 2 ms
    return _parsed_kind(source, attribute)


@functools.lru_cache(maxsize=_MAX_KINDS)
def _parsed_kind(source: str, attribute: str) -> Kind:
    try:
        tree = parse_source(source)
    except UNREADABLE:
        return Kind()  # the runtime will report what is wrong with the source
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == attribute:
            constants = {
                line.value.value
                for line in node.body
                if isinstance(line, ast.Assign | ast.AnnAssign) and isinstance(line.value, ast.Constant)
            }
            return Kind(
                is_transform=any("Transform" in ast.dump(base) for base in node.bases),
                reads_file=not constants.isdisjoint(_FILE_READERS),
                reads_guest_files="files" in constants,
                reads_at_random="random" in constants,
            )
    return Kind()


def scan_requests(source: str, attribute: str, beside: Collection[str] = ()) -> Requests | None:
    """The requests of the class `attribute`; None if `source` cannot be parsed, or has no such class.

    Everything in the file counts, except other plugins, and in the texts `beside`, of modules that it imports.
    """
    try:
        tree = parse_source(source)
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        if attribute not in classes:
            return None
        line = _inheritance(attribute, classes)
        scans, names = [RequestScan(_nodes(tree, line))], {*line, *_bases(tree, line)}
        for text in beside:
            tree = parse_source(text)
            names |= _bases(tree, names)
            scans.append(RequestScan(_nodes(tree, names)))
        return merged_requests(scans, _constructor_doc(line, classes))
    except UNREADABLE:
        return None


def _nodes(tree: ast.Module, names: Collection[str]) -> list[ast.AST]:
    """All of a file without the plugins that are not in `names`."""
    excluded = {name for name in _plugins(tree) if name not in names}
    statements = [node for node in tree.body if not (isinstance(node, ast.ClassDef) and node.name in excluded)]
    return [node for statement in statements for node in ast.walk(statement)]


def _bases(tree: ast.Module, names: Collection[str]) -> set[str]:
    """The names of the bases of these classes."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name in names]
    return {last_name(base) for node in classes for base in node.bases}


def only_class(path: str) -> str:
    """The name of the only plugin class in the file `path`. Raises PlanError if there is none, or more than one.

    A class whose name begins with an underscore counts only if there is no other class: it is a base.
    """
    try:
        names = _plugins(parse_source(read_regular(path, MAX_SOURCE).decode()))
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}") from error
    except UNREADABLE as error:
        raise PlanError(f"{path} is not Python: {error}") from error
    names = [name for name in names if not name.startswith("_")] or names
    if not names:
        raise PlanError(
            f"{path} has no class that derives from douane_plugin's Inspector or Transform; "
            f"if its base is in another file, write {path}:CLASS"
        )
    if len(names) > 1:
        raise PlanError(f"{path} has more than one plugin: write {path}:{names[0]}, or {', '.join(names[1:])}")
    return names[0]


def _plugins(tree: ast.Module) -> list[str]:
    """The names of the classes that derive from a base of the contract, in this file and by name."""
    bases = set(_BASES)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "douane_plugin":
            bases |= {alias.asname for alias in node.names if alias.asname and alias.name in _BASES}
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(last_name(base) in (*bases, *names) for base in node.bases):
            names.append(node.name)
    return names


def _inheritance(name: str, classes: dict[str, ast.ClassDef]) -> list[str]:
    """The class and its bases in the same file, the nearest first."""
    line: list[str] = []
    queue = [name]
    while queue:
        current = queue.pop(0)
        if current in classes and current not in line:
            line.append(current)
            queue += [last_name(base) for base in classes[current].bases]
    return line


def _constructor_doc(line: list[str], classes: dict[str, ast.ClassDef]) -> str:
    for name in line:
        for node in classes[name].body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                return ast.get_docstring(node) or ""
    return ""
