"""What a plugin says of itself: loaded in its cage, never here; and what its source shows, read and not run."""

from __future__ import annotations

import ast
import inspect
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from douane import sandbox

from .errors import DouaneError, PlanError
from .logs import LogLine
from .members import member_for
from .passing import Pass
from .plan import Plan, PluginSpec
from .program_member import ProgramMember
from .python_member import PythonMember
from .resolve import Resolved, parse_source, under
from .run import Nothing, told

_BASES = ("Inspector", "Transform")


@dataclass(frozen=True)
class Shown:
    """What the text of a plugin's source shows; an indirect use does not show."""

    grants: tuple[str, ...] = ()
    """Names that it asks for, as far as they are written out."""
    proposes: tuple[str, ...] = ()
    """Properties that it proposes, as far as they are written out."""
    uses_scratch: bool = False


@dataclass(frozen=True)
class Described:
    """A plugin. `parameters` are as docs/wire.md has them under DESCRIBED."""

    use: str
    kind: str
    api: int | None = None
    reads: str | None = None
    cls: str | None = None
    doc: str = ""
    parameters: list[dict[str, Any]] = field(default_factory=list)
    takes_any: bool = False
    version: str | None = None
    code_sha256: str = ""
    sandbox: str = ""
    shown: Shown = field(default_factory=Shown)


def describe(spec: PluginSpec, *, tier: sandbox.Tier, emit: LogLine = lambda plugin, level, text: None) -> Described:
    """Describe the plugin of `spec`. It is not configured: what its constructor requires need not be there.

    Raises PlanError if it cannot be found or loaded, DouaneError if it does not answer, SandboxFailed.
    """
    run = Pass(Plan(plugins=(spec,)), Nothing(), {}, None, emit, None, logging.INFO)
    with told():
        try:
            member = member_for(spec, tier, run, {})
            if isinstance(member, ProgramMember):
                return Described(spec.use, "program", code_sha256=member.resolved.code_sha256, sandbox=tier.value)
            assert isinstance(member, PythonMember)
            try:
                run.prepare([member])
            except PlanError:
                if not member.described:
                    raise
            if not member.described:
                verdict = member.verdict
                raise DouaneError(
                    f"{verdict.message}: {(verdict.detail or '').rstrip()}" if verdict else "it did not describe itself"
                )
            found = member.described
            return Described(
                spec.use,
                found["kind"],
                api=found["api"],
                reads=found["reads"],
                cls=member.resolved.load.get("attribute"),
                doc=inspect.cleandoc(found["doc"]),
                parameters=[_parameter(one) for one in found["parameters"]],
                takes_any=found["takes_any"],
                version=member.resolved.version,
                code_sha256=member.resolved.code_sha256,
                sandbox=tier.value,
                shown=_shown(member.resolved),
            )
        finally:
            run.close()


def only_class(path: str, base: str = "") -> str:
    """The name of the one plugin class in the file `path`. Raises PlanError if there is none, or another one."""
    full = under(base, path)
    try:
        tree = parse_source(Path(full).read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"{full} cannot be read: {error.strerror}") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise PlanError(f"{full} is not Python: {error}") from error
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(_last_name(one) in (*_BASES, *found) for one in node.bases):
            found.append(node.name)
    if len(found) == 1:
        return found[0]
    if not found:
        raise PlanError(f"{full} has no class that derives from douane_plugin's Inspector or Transform")
    raise PlanError(f"{full} has more than one plugin: write {path}:{found[0]}, or {', '.join(found[1:])}")


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _parameter(told: dict[str, Any]) -> dict[str, Any]:
    """Without a default where there is none, or none that JSON can tell."""
    unknown = told["required"] or (told["default"] is None and told["default_text"] != "None")
    return {key: value for key, value in told.items() if not (unknown and key == "default")}


def _shown(resolved: Resolved) -> Shown:
    """From the whole file of the class."""
    source = resolved.load.get("source")
    try:
        if source is None and resolved.origin is not None:
            source = resolved.origin.read_text(encoding="utf-8")
        tree = parse_source(source or "")
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        return Shown()
    grants: dict[str, None] = {}
    proposes: dict[str, None] = {}
    scratch = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "scratch" and _is_self(node.value):
            scratch = True
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_self(node.func.value)):
            continue
        named = node.args[0] if node.args else None
        if isinstance(named, ast.Constant) and isinstance(named.value, str):
            if node.func.attr == "grant":
                grants[named.value] = None
            elif node.func.attr == "propose":
                proposes[named.value] = None
    return Shown(tuple(grants), tuple(proposes), scratch)


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"
