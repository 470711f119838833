"""The operator's policy: the effect of a plugin's answer. Any enforcing refusal refuses the image."""

from __future__ import annotations

from typing import Any

from douane.plan.model import PluginSpec
from douane.report import Outcome, PropertyValue, Verdict
from douane_plugin import _rules
from douane_plugin._rules import BadProperties, check_documents, check_properties, clean, clean_lines

__all__ = ["BadProperties", "check_documents", "check_properties", "check_proposed", "clean", "clean_lines", "weigh"]


def check_proposed(spec: PluginSpec, properties: Any) -> dict[str, PropertyValue | None]:
    """The properties that a plugin proposes outside its namespace, name to value or None. Raises BadProperties."""
    return _rules.check_proposed(spec.may_set, properties)


AUDIT_SECONDS = 1.0
"""Seconds that auditors have after all other plugins before they count as too slow."""


def weigh(spec: PluginSpec, verdict: Verdict, *, is_transform: bool = False) -> Outcome:
    """The effect of one plugin's verdict on the image under the operator's rules.

    Without its transform there is no image, so a transform's failure always counts.
    """
    if is_transform and verdict.outcome not in ("accepted", "stopped"):
        return "refused" if verdict.outcome == "refused" else "undecided"
    if verdict.outcome in ("accepted", "stopped") or spec.mode == "audit":
        return "accepted"
    if verdict.outcome == "refused":
        return "refused" if spec.mode == "enforce" else "accepted"
    if verdict.outcome == "deferred":
        return "undecided" if spec.mode == "enforce" else "accepted"
    rule = {"failed": spec.on_error, "timeout": spec.on_timeout, "incomplete": spec.on_incomplete}[verdict.outcome]
    return "undecided" if rule == "reject" else "accepted"
