"""What a plugin says of itself: loaded in its cage, never here; and what its source shows."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass, field
from typing import Any

from douane import sandbox
from douane.declared import DeclaredImage
from douane.errors import DouaneError, PlanError
from douane.host.exec_plugin import ProgramMember
from douane.host.factory import member_for
from douane.host.log import LogLine
from douane.host.python_plugin import PythonMember
from douane.plan.plan import Plan, PluginSpec
from douane.plan.resolve import Resolved
from douane.plan.source_scan import Shown, shown

from .inspect import Nothing
from .run import Pass


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
    shown: Shown | None = None
    """None where there is no source, or where its class is not in it."""


class _UntilDescribed(Pass):
    """A pass that is over when all have described themselves.

    What comes then is their constructors, which may take long, or fail for want of what is not configured here.
    """

    def _all_prepared(self) -> bool:
        return super()._all_prepared() or all(
            member.described or member.verdict is not None
            for member in self.members
            if isinstance(member, PythonMember)
        )


def describe(spec: PluginSpec, *, tier: sandbox.Tier, emit: LogLine = lambda plugin, level, text: None) -> Described:
    """Describe the plugin of `spec`. What its constructor requires need not be there: it is not waited for.

    Raises PlanError if it cannot be found or loaded, DouaneError if it does not answer, SandboxError.
    """
    run = _UntilDescribed(Plan(plugins=(spec,)), Nothing(), DeclaredImage(), None, emit, None, logging.INFO)
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
            cls=member.resolved.load.get("attribute") or found["class"] or spec.use,
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


def _parameter(told: dict[str, Any]) -> dict[str, Any]:
    """Without a default where there is none, or none that JSON can tell."""
    unknown = told["required"] or (told["default"] is None and told["default_text"] != "None")
    return {key: value for key, value in told.items() if not (unknown and key == "default")}


def _shown(resolved: Resolved) -> Shown | None:
    """From the whole file of the class."""
    source = resolved.load.get("source")
    if source is None and resolved.origin is not None:
        try:
            source = resolved.origin.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None
    return None if source is None else shown(source, resolved.load["attribute"])
