"""A run in Douane's sandbox: the only module that needs the distribution `douane`, imported when a test asks for it."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, BinaryIO, Optional, cast

from ._grants import Grants
from ._result import LogLine, NoSandbox, Output, PluginFailed, Result, Warned, WrongConfiguration
from ._run_spec import RunSpec

TIERS = ("off", "strict", "full", "best")


def run_sandboxed(run: RunSpec, sandbox: str) -> Result:
    """Run the plugin of `run` in the tier `sandbox`. Raises what :func:`douane_plugin.testing.run` raises."""
    __tracebackhide__ = True
    if sandbox not in TIERS:
        raise ValueError(f"sandbox is one of {', '.join(map(repr, TIERS))}, or None, not {sandbox!r:.60}")
    engine, trial = _engine()
    lines: list[LogLine] = []
    grants = Grants(run.grants)
    server_error: Optional[BaseException] = None
    trial_report: Any = None
    try:
        try:
            trial_report = trial.try_plugin(
                {
                    **run.plan,
                    "name": run.name,
                    "use": _use(run, trial),
                    "config": run.config,
                    "grants": grants.targets(),
                    "may_set": list(run.may_set),
                    **({"scratch": run.scratch} if run.scratch is not None else {}),
                },
                lambda: run.source.pieces(run.choose, run.size),
                run.size,
                run.declared._facts(),
                run.findings,
                tier=None if sandbox == "best" else sandbox,
                emit=lambda plugin, level, text: lines.append(LogLine(level, text)),
            )
        finally:
            server_error = grants.close()
    except engine.PlanError as error:
        notes = "".join("\n" + note for note in getattr(error, "__notes__", ()))
        raise WrongConfiguration(f"{error}{notes}") from None
    except engine.SandboxError as error:
        raise NoSandbox(str(error)) from error
    except engine.DouaneError:
        if run.source.error is not None:
            raise run.source.error from None
        raise
    if run.source.error is not None:
        raise run.source.error
    if server_error is not None:
        raise server_error
    result = _result(run, trial_report, tuple(lines))
    if run.raise_on_failure and result.outcome in ("failed", "timeout"):
        raise PluginFailed(f"{result.message}\n{result.trace or ''}".rstrip(), result)
    return result


def _engine() -> tuple[Any, Any]:
    try:
        return importlib.import_module("douane.engine"), importlib.import_module("douane.engine.trial")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "douane":
            raise
        state = "has no" if error.name == "douane" else "has an older release of the"
        raise NoSandbox(
            f"{sys.executable} {state} distribution 'douane', which has the sandbox: install it there (`pip install "
            "./sdk .` in a checkout of Douane, Python 3.11 or newer), or run in this process, without `sandbox`"
        ) from error


def _use(run: RunSpec, trial: Any) -> str:
    """Return the plugin as the operator's configuration names it. Raises ValueError."""
    plugin = run.plugin
    if isinstance(plugin, str):
        return plugin
    module = sys.modules.get(plugin.__module__)
    file = getattr(module, "__file__", None)
    if "." in plugin.__qualname__ or file is None or getattr(module, plugin.__name__, None) is not plugin:
        raise ValueError(
            f"the sandbox loads a plugin from its file, and {plugin.__qualname__} cannot be found there: the class "
            "must be at the top level of a file, under its own name"
        )
    use: str = trial.spec_for(plugin.__module__, plugin.__name__, file, run.plan.get("python"))
    return use


def _result(run: RunSpec, trial_report: Any, lines: tuple[LogLine, ...]) -> Result:
    verdict = trial_report.verdict
    output = None
    if trial_report.output is not None:
        output = Output(cast(BinaryIO, os.fdopen(trial_report.output, "rb")))
    return Result(
        verdict.outcome,
        code=verdict.code,
        message=verdict.message,
        retry_after=verdict.retry_after,
        warnings=tuple(Warned(warning.code, warning.message) for warning in verdict.warnings),
        properties={key[len(run.name) + 1 :]: value for key, value in verdict.properties.items()},
        proposed=dict(verdict.proposed),
        documents=dict(verdict.documents),
        log=lines,
        bytes_seen=verdict.bytes_seen,
        unchanged=trial_report.unchanged and verdict.outcome == "accepted",
        trace=verdict.detail,
        sandbox=trial_report.tier,
        _output=output,
        **trial_report.formats,
    )
