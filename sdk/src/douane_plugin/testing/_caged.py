"""A run in Douane's sandbox: the only part of the kit that needs the distribution `douane`, and imports it here."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, BinaryIO, Optional, cast

from ._grants import Grants
from ._order import Order
from ._result import LogLine, NoSandbox, Output, PluginFailed, Result, Warned, WrongConfiguration

TIERS = ("off", "strict", "full", "best")


def run_caged(order: Order, sandbox: str) -> Result:
    """Run the plugin of `order` in a cage. Raises what :func:`douane_plugin.testing.run` says."""
    __tracebackhide__ = True
    if sandbox not in TIERS:
        raise ValueError(f"sandbox is one of {', '.join(map(repr, TIERS))}, or None, not {sandbox!r:.60}")
    engine, trial = _engine()
    lines: list[LogLine] = []
    grants = Grants(order.grants)
    of_server: Optional[BaseException] = None
    tried: Any = None
    try:
        try:
            tried = trial.try_plugin(
                {
                    **order.plan,
                    "name": order.name,
                    "use": _use(order, trial),
                    "config": order.config,
                    "grants": grants.caged(),
                    "may_set": list(order.may_set),
                    **({"scratch": order.scratch} if order.scratch is not None else {}),
                },
                lambda: order.source.pieces(order.choose, order.size),
                order.size,
                order.declared._facts(),
                order.findings,
                tier=None if sandbox == "best" else sandbox,
                emit=lambda plugin, level, text: lines.append(LogLine(level, text)),
            )
        finally:
            of_server = grants.close()
    except engine.PlanError as error:
        notes = "".join("\n" + note for note in getattr(error, "__notes__", ()))
        raise WrongConfiguration(f"{error}{notes}") from None
    except engine.SandboxError as error:
        raise NoSandbox(str(error)) from error
    except engine.DouaneError:
        if order.source.error is not None:
            raise order.source.error from None
        raise
    if order.source.error is not None:
        raise order.source.error
    if of_server is not None:
        raise of_server
    result = _result(order, tried, tuple(lines))
    if order.raising and result.outcome in ("failed", "timeout"):
        raise PluginFailed(f"{result.message}\n{result.trace or ''}".rstrip(), result)
    return result


def _engine() -> tuple[Any, Any]:
    try:
        return importlib.import_module("douane.engine"), importlib.import_module("douane.engine.trial")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "douane":
            raise
        what = "has no" if error.name == "douane" else "has an older release of the"
        raise NoSandbox(
            f"{sys.executable} {what} distribution 'douane', which has the sandbox: install it there "
            "(`pip install douane`, Python 3.11 or newer), or run without `sandbox`, in this process"
        ) from error


def _use(order: Order, trial: Any) -> str:
    """The plugin as an operator names it."""
    plugin = order.plugin
    if isinstance(plugin, str):
        return plugin
    module = sys.modules.get(plugin.__module__)
    file = getattr(module, "__file__", None)
    if "." in plugin.__qualname__ or file is None or getattr(module, plugin.__name__, None) is not plugin:
        raise ValueError(
            f"the sandbox loads a plugin from its file, and {plugin.__qualname__} cannot be found there: it must stand "
            "at the top of a file, under its own name"
        )
    found: str = trial.spec_for(plugin.__module__, plugin.__name__, file, order.plan.get("python"))
    return found


def _result(order: Order, tried: Any, lines: tuple[LogLine, ...]) -> Result:
    verdict = tried.verdict
    output = None
    if tried.output is not None:
        output = Output(cast(BinaryIO, os.fdopen(tried.output, "rb")))
    return Result(
        verdict.outcome,
        code=verdict.code,
        message=verdict.message,
        retry_after=verdict.retry_after,
        warnings=tuple(Warned(one.code, one.message) for one in verdict.warnings),
        properties={key[len(order.name) + 1 :]: value for key, value in verdict.properties.items()},
        proposed=dict(verdict.proposed),
        log=lines,
        bytes_seen=verdict.bytes_seen,
        unchanged=tried.unchanged and verdict.outcome == "accepted",
        trace=verdict.detail,
        sandbox=tried.tier,
        _output=output,
        **tried.formats,
    )
