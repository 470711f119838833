"""From the plugins' answers to one outcome: any enforcing refusal refuses, nothing overrules it."""

from __future__ import annotations

from typing import Any

from douane.plan.plan import PluginSpec
from douane.report import Outcome, PropertyValue, Verdict
from douane_plugin import _rules
from douane_plugin._rules import BadProperties, check_properties, clean

__all__ = ["BadProperties", "check_properties", "check_proposed", "clean", "weigh"]


def check_proposed(spec: PluginSpec, given: Any) -> dict[str, PropertyValue | None]:
    """What a plugin proposes outside its namespace, name to value or None. Raises BadProperties."""
    return _rules.check_proposed(spec.may_set, given)


def weigh(spec: PluginSpec, verdict: Verdict) -> Outcome:
    """What one plugin's verdict does to the image under the operator's rules."""
    if verdict.outcome in ("accepted", "stopped") or spec.mode == "audit":
        return "accepted"
    if verdict.outcome == "refused":
        return "refused" if spec.mode == "enforce" else "accepted"
    if verdict.outcome == "deferred":
        return "undecided" if spec.mode == "enforce" else "accepted"
    rule = {"failed": spec.on_error, "timeout": spec.on_timeout, "incomplete": spec.on_incomplete}[verdict.outcome]
    return "undecided" if rule == "reject" else "accepted"
