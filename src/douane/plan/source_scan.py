"""What the text of a plugin's source shows: it is read, never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from douane.errors import PlanError

from .resolve import parse_source, under

_BASES = ("Inspector", "Transform")
_STARTS = {
    "subprocess": ("Popen", "call", "check_call", "check_output", "run"),
    "os": ("execv", "execve", "execvp", "execvpe", "posix_spawn", "posix_spawnp"),
}
"""What starts a program, with its name in the first argument, or first in the list there."""
_ASKS = {"grant": "grants", "propose": "proposes"}
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True)
class Shown:
    """What a plugin asks for. What is not in the file of its class does not show."""

    grants: tuple[str, ...] = ()
    proposes: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    uses_scratch: bool = False
    unnamed: tuple[str, ...] = ()
    """Those of "grants", "proposes" and "programs" of which there are more, by names that are not written out."""
    constructor_doc: str = ""


def shown(source: str, attribute: str) -> Shown | None:
    """What `source` shows of the class `attribute`; None if it cannot be read, or has no such class.

    Everything in the file counts, but for other plugins that stand in it.
    """
    try:
        tree = parse_source(source)
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        if attribute not in classes:
            return None
        own = _with_bases(attribute, classes)
        others = [classes[name] for name in _plugins(tree) if name not in own]
        nodes = [node for top in tree.body if top not in others for node in ast.walk(top)]
        return _Reading(nodes).shown(_constructor_doc(own, classes))
    except _UNREADABLE:
        return None


def only_class(path: str, base: str = "") -> str:
    """The name of the one plugin class in the file `path`. Raises PlanError if there is none, or another one.

    A class whose name begins with an underscore counts only if there is no other: it is there to derive from.
    """
    full = under(base, path)
    try:
        found = _plugins(parse_source(Path(full).read_text(encoding="utf-8")))
    except OSError as error:
        raise PlanError(f"{full} cannot be read: {error.strerror}") from error
    except _UNREADABLE as error:
        raise PlanError(f"{full} is not Python: {error}") from error
    found = [name for name in found if not name.startswith("_")] or found
    if not found:
        raise PlanError(
            f"{full} has no class that derives from douane_plugin's Inspector or Transform; "
            f"if it does by way of another file, write {path}:CLASS"
        )
    if len(found) > 1:
        raise PlanError(f"{full} has more than one plugin: write {path}:{found[0]}, or {', '.join(found[1:])}")
    return found[0]


def _plugins(tree: ast.Module) -> list[str]:
    """The names of the classes that derive from a base of the contract, in this file and by name."""
    bases = set(_BASES)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "douane_plugin":
            bases |= {one.asname for one in node.names if one.asname and one.name in _BASES}
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(_last_name(one) in (*bases, *found) for one in node.bases):
            found.append(node.name)
    return found


def _with_bases(name: str, classes: dict[str, ast.ClassDef]) -> list[str]:
    """The class, and those of the file that it derives from, the nearest first."""
    own: list[str] = []
    wanted = [name]
    while wanted:
        one = wanted.pop(0)
        if one in classes and one not in own:
            own.append(one)
            wanted += [_last_name(base) for base in classes[one].bases]
    return own


def _constructor_doc(own: list[str], classes: dict[str, ast.ClassDef]) -> str:
    for name in own:
        for node in classes[name].body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                return ast.get_docstring(node) or ""
    return ""


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


class _Reading:
    """The nodes of a source that count, and what their calls ask for."""

    def __init__(self, nodes: list[ast.AST]) -> None:
        self._nodes = nodes
        self._values = self._assigned()
        self._imported = {
            one.asname or one.name
            for node in nodes
            if isinstance(node, ast.ImportFrom) and node.module in _STARTS
            for one in node.names
            if one.name in _STARTS[node.module]
        }

    def _assigned(self) -> dict[str, ast.expr]:
        """The values of names that get one in one place only, by ``NAME = value``."""
        found: dict[str, ast.expr] = {}
        times: dict[str, int] = {}
        for node in self._nodes:
            if isinstance(node, ast.arg):
                times[node.arg] = times.get(node.arg, 0) + 1
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                times[node.id] = times.get(node.id, 0) + 1
            elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                found[node.target.id] = node.value
        return {name: value for name, value in found.items() if times[name] == 1}

    def shown(self, constructor_doc: str) -> Shown:
        asked: dict[str, dict[str, None]] = {"grants": {}, "proposes": {}, "programs": {}}
        unnamed: dict[str, None] = {}
        for what, named in self._asked():
            text = self._text(named)
            if text is None:
                unnamed[what] = None
            else:
                asked[what][text] = None
        scratch = any(
            isinstance(node, ast.Attribute) and node.attr == "scratch" and _is_self(node.value) for node in self._nodes
        )
        return Shown(
            tuple(asked["grants"]),
            tuple(asked["proposes"]),
            tuple(asked["programs"]),
            scratch,
            tuple(unnamed),
            constructor_doc,
        )

    def _asked(self) -> Iterator[tuple[str, ast.expr | None]]:
        """What is asked for, and the expression that names it."""
        for node in self._nodes:
            if not isinstance(node, ast.Call):
                continue
            function = node.func
            if isinstance(function, ast.Attribute) and _is_self(function.value):
                if function.attr in _ASKS:
                    yield _ASKS[function.attr], _argument(node, "name")
            elif self._starts_program(function):
                yield "programs", self._first(_argument(node, "args"))

    def _starts_program(self, function: ast.expr) -> bool:
        if isinstance(function, ast.Attribute):
            return function.attr in _STARTS.get(_last_name(function.value), ())
        return isinstance(function, ast.Name) and function.id in self._imported

    def _first(self, node: ast.expr | None) -> ast.expr | None:
        """The first of a list; what is none as it is."""
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
    """The first argument of a call, by place or by name."""
    if call.args:
        return call.args[0]
    return next((one.value for one in call.keywords if one.arg == keyword), None)


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"
