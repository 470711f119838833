"""Static analysis of a plugin's source: the text is parsed, never run."""

from __future__ import annotations

import ast
import contextlib
import functools
import threading
from collections.abc import Iterator

import msgspec

from douane.errors import PlanError
from douane.units import MiB

from .regular_files import read_regular

_MAX_SOURCE = 16 * MiB
_BASES = ("Inspector", "Transform")
_STARTERS = {
    "subprocess": ("Popen", "call", "check_call", "check_output", "run"),
    "os": ("execv", "execve", "execvp", "execvpe", "posix_spawn", "posix_spawnp"),
}
"""Functions that start a program; the first argument is its name, or a list that begins with its name."""
_FILE_READERS = ("random", "guest", "guest+findings")
"""Values of `reads` for which a plugin gets the file of the image."""

_REQUESTS = {"grant": "grants", "propose": "proposes"}
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)

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


class Requests(msgspec.Struct, frozen=True):
    """What a plugin requests at run time, as far as the file of its class states it."""

    grants: tuple[str, ...] = ()
    proposes: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    uses_scratch: bool = False
    unnamed: tuple[str, ...] = ()
    """Those of "grants", "proposes" and "programs" that also have names computed at run time."""
    constructor_doc: str = ""


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
    except _UNREADABLE:
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


def scan_requests(source: str, attribute: str) -> Requests | None:
    """The requests of the class `attribute`; None if `source` cannot be parsed, or has no such class.

    Everything in the file counts, except other plugins.
    """
    try:
        tree = parse_source(source)
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        if attribute not in classes:
            return None
        line = _inheritance(attribute, classes)
        excluded = [classes[name] for name in _plugins(tree) if name not in line]
        nodes = [node for statement in tree.body if statement not in excluded for node in ast.walk(statement)]
        return _Scan(nodes).requests(_constructor_doc(line, classes))
    except _UNREADABLE:
        return None


def only_class(path: str) -> str:
    """The name of the only plugin class in the file `path`. Raises PlanError if there is none, or more than one.

    A class whose name begins with an underscore counts only if there is no other class: it is a base.
    """
    try:
        names = _plugins(parse_source(read_regular(path, _MAX_SOURCE).decode()))
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}") from error
    except _UNREADABLE as error:
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
        if isinstance(node, ast.ClassDef) and any(_last_name(base) in (*bases, *names) for base in node.bases):
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
            queue += [_last_name(base) for base in classes[current].bases]
    return line


def _constructor_doc(line: list[str], classes: dict[str, ast.ClassDef]) -> str:
    for name in line:
        for node in classes[name].body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                return ast.get_docstring(node) or ""
    return ""


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


class _Scan:
    """The nodes of a source that count, and the requests that their calls make."""

    def __init__(self, nodes: list[ast.AST]) -> None:
        self._nodes = nodes
        self._values = self._constants()
        self._starters = {
            alias.asname or alias.name
            for node in nodes
            if isinstance(node, ast.ImportFrom) and node.module in _STARTERS
            for alias in node.names
            if alias.name in _STARTERS[node.module]
        }

    def _constants(self) -> dict[str, ast.expr]:
        """The values of names that are bound once only, by ``NAME = value``."""
        values: dict[str, ast.expr] = {}
        bindings: dict[str, int] = {}
        for node in self._nodes:
            if isinstance(node, ast.arg):
                bindings[node.arg] = bindings.get(node.arg, 0) + 1
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bindings[node.id] = bindings.get(node.id, 0) + 1
            elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                values[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                values[node.target.id] = node.value
        return {name: value for name, value in values.items() if bindings[name] == 1}

    def requests(self, constructor_doc: str) -> Requests:
        names: dict[str, dict[str, None]] = {"grants": {}, "proposes": {}, "programs": {}}
        unnamed: dict[str, None] = {}
        for category, expression in self._calls():
            text = self._text(expression)
            if text is None:
                unnamed[category] = None
            else:
                names[category][text] = None
        scratch = any(
            isinstance(node, ast.Attribute) and node.attr == "scratch" and _is_self(node.value) for node in self._nodes
        )
        return Requests(
            tuple(names["grants"]),
            tuple(names["proposes"]),
            tuple(names["programs"]),
            scratch,
            tuple(unnamed),
            constructor_doc,
        )

    def _calls(self) -> Iterator[tuple[str, ast.expr | None]]:
        """The category of each request, and the expression of its name."""
        for node in self._nodes:
            if not isinstance(node, ast.Call):
                continue
            function = node.func
            if isinstance(function, ast.Attribute) and _is_self(function.value):
                if function.attr in _REQUESTS:
                    yield _REQUESTS[function.attr], _argument(node, "name")
            elif self._starts_program(function):
                yield "programs", self._first(_argument(node, "args"))

    def _starts_program(self, function: ast.expr) -> bool:
        if isinstance(function, ast.Attribute):
            return function.attr in _STARTERS.get(_last_name(function.value), ())
        return isinstance(function, ast.Name) and function.id in self._starters

    def _first(self, node: ast.expr | None) -> ast.expr | None:
        """The first element of a list; another expression unchanged."""
        node = self._value(node)
        if isinstance(node, ast.List | ast.Tuple):
            return node.elts[0] if node.elts else None
        return node

    def _value(self, node: ast.expr | None) -> ast.expr | None:
        return self._values.get(node.id) if isinstance(node, ast.Name) else node

    def _text(self, node: ast.expr | None) -> str | None:
        node = self._value(node)
        return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _argument(call: ast.Call, keyword: str) -> ast.expr | None:
    """The first argument of a call, by position or by keyword."""
    if call.args:
        return call.args[0]
    return next((argument.value for argument in call.keywords if argument.arg == keyword), None)


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"
