"""What the syntax tree of a plugin shows of its requests: grants, proposals, programs, room for files."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import msgspec

_STARTERS = {
    "subprocess": ("Popen", "call", "check_call", "check_output", "run"),
    "os": ("execv", "execve", "execvp", "execvpe", "posix_spawn", "posix_spawnp"),
}
"""Functions that start a program; the first argument is its name, or a list that begins with its name."""
_REQUESTS = {"grant": "grants", "propose": "proposes"}


class Requests(msgspec.Struct, frozen=True):
    """What a plugin requests at run time, as far as the sources state it."""

    grants: tuple[str, ...] = ()
    proposes: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    uses_scratch: bool = False
    unnamed: tuple[str, ...] = ()
    """Those of "grants", "proposes" and "programs" that also have names computed at run time."""
    constructor_doc: str = ""


def last_name(node: ast.expr) -> str:
    """The last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def merged_requests(scans: list[RequestScan], constructor_doc: str) -> Requests:
    """What all of these scans show."""
    names: dict[str, dict[str, None]] = {"grants": {}, "proposes": {}, "programs": {}}
    unnamed: dict[str, None] = {}
    for category, name in (request for scan in scans for request in scan.requests()):
        if name is None:
            unnamed[category] = None
        else:
            names[category][name] = None
    grants, proposes, programs = (tuple(names[category]) for category in ("grants", "proposes", "programs"))
    scratch = any(scan.uses_scratch() for scan in scans)
    return Requests(grants, proposes, programs, scratch, tuple(unnamed), constructor_doc)


class RequestScan:
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

    def requests(self) -> Iterator[tuple[str, str | None]]:
        """The category and the name of each; None for a name that is computed at run time."""
        for category, expression in self._calls():
            yield category, self._text(expression)

    def uses_scratch(self) -> bool:
        """True if the room for files is used."""
        return any(
            isinstance(node, ast.Attribute) and node.attr == "scratch" and _is_plugin(node.value)
            for node in self._nodes
        )

    def _calls(self) -> Iterator[tuple[str, ast.expr | None]]:
        """The category of each request, and the expression of its name."""
        for node in self._nodes:
            if not isinstance(node, ast.Call):
                continue
            function = node.func
            if isinstance(function, ast.Attribute) and _is_plugin(function.value):
                if function.attr in _REQUESTS:
                    yield _REQUESTS[function.attr], _argument(node, "name")
            elif self._starts_program(function):
                yield "programs", self._first(_argument(node, "args"))

    def _starts_program(self, function: ast.expr) -> bool:
        if isinstance(function, ast.Attribute):
            return function.attr in _STARTERS.get(last_name(function.value), ())
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


def _is_plugin(node: ast.expr) -> bool:
    """True for ``self``, and for ``plugin``, as parts of a plugin call the one that they get."""
    return isinstance(node, ast.Name) and node.id in ("self", "plugin")
