"""The description of a plugin, which is loaded in its sandbox and never in this process, and of its source."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import msgspec

from douane import sandbox
from douane.errors import DouaneError
from douane.host.launch import launch
from douane.host.log import LogLine
from douane.host.options import RunOptions, ignore_log
from douane.plan.code import ModuleClass, PluginCode
from douane.plan.model import Plan, PluginSpec
from douane.plan.package_sources import sources_beside
from douane.plan.path_grants import placeholders
from douane.plan.request_scan import Requests
from douane.plan.resolve import resolve_plan
from douane.plan.source_scan import scan_requests


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
    requests: Requests | None = None
    """None where there is no source, or where its class is not in it."""


def describe(spec: PluginSpec, *, tier: sandbox.Tier, emit: LogLine = ignore_log) -> Described:
    """Describe the plugin of `spec`. What its constructor requires need not be there: it is not waited for.

    Raises PlanError if it cannot be found or loaded, DouaneError if it does not answer, SandboxError.
    """
    names = placeholders(spec.use) if spec.use.startswith("exec:") else ()
    # A program is not started here, so its grants need not be there either.
    spec = msgspec.structs.replace(spec, grants={**{name: f"file:/{name}" for name in names}, **spec.grants})
    resolved = resolve_plan(Plan(plugins=(spec,)), complete=False)
    code = resolved.plugins[0].code
    if code.is_exec:
        asked = Requests(grants=names)
        return Described(spec.use, "program", code_sha256=code.code_sha256, sandbox=tier.value, requests=asked)
    with launch(resolved, tier, RunOptions(emit=emit), until="described") as launched:
        [process] = launched.plugins
    described, verdict = process.described, process.verdict
    if described is None:
        failed = verdict is not None and verdict.outcome != "stopped"
        raise DouaneError(
            f"{verdict.message}: {(verdict.detail or '').rstrip()}"
            if verdict is not None and failed
            else "it did not describe itself"
        )
    return Described(
        spec.use,
        described.kind,
        api=described.api,
        reads=described.reads,
        cls=code.attribute or described.cls or spec.use,
        doc=inspect.cleandoc(described.doc),
        parameters=[parameter.to_json() for parameter in described.parameters],
        takes_any=described.takes_any,
        version=code.version,
        code_sha256=code.code_sha256,
        sandbox=tier.value,
        requests=_requests(code),
    )


def _requests(code: PluginCode) -> Requests | None:
    source = code.source()
    if source is None or code.attribute is None:
        return None
    beside: list[str] = []
    if isinstance(code.target, ModuleClass) and code.origin is not None:
        beside = sources_beside(code.target.module, code.origin, source)
    return scan_requests(source, code.attribute, beside)
