"""The decisions of a run in words: states of plugins, events, and the actions that follow."""

from __future__ import annotations

from collections.abc import Iterable

from douane.declared import DeclaredImage
from douane.engine.actions import Action, FailPlugin
from douane.engine.decisions import Decisions
from douane.engine.events import RunStarted, SourceEnded
from douane.engine.stage import PluginState
from douane.errors import SourceError
from douane.host.events import Event, PluginAnswered, PluginReady
from douane.plan.model import PluginSpec
from douane.report import Verdict

A, B, T = "a", "b", "t"
BROKEN = SourceError("the disk is broken")
START = RunStarted(1000)
END = SourceEnded(None)


def plugin(name: str, **fields: object) -> PluginState:
    spec = PluginSpec(name=name, use="x", mode=str(fields.pop("mode", "enforce")))
    return PluginState(spec, **fields)


def inspector(name: str, **fields: object) -> PluginState:
    return plugin(name, **fields)


def transform(name: str, **fields: object) -> PluginState:
    return plugin(name, is_transform=True, **fields)


def ready(state: PluginState) -> PluginReady:
    return PluginReady(state.name, state.needs)


def verdict(name: str, outcome: str = "accepted", **properties: str) -> PluginAnswered:
    return PluginAnswered(name, Verdict(plugin=name, outcome=outcome, properties=properties))


def run(states: list[PluginState], *events: Event, **options: object) -> tuple[Decisions, list[str]]:
    """The decisions of a run whose plugins are ready, and the actions after the last event, as words."""
    decisions = Decisions(states, DeclaredImage(name="web"), deadline=60.0, **options)
    actions: list[Action] = []
    for event in (*(ready(state) for state in states), *events):
        actions = decisions.handle(event)
    return decisions, words(actions)


def words(actions: Iterable[Action]) -> list[str]:
    """Actions without what differs in every test: SendImage("a", facts, 0) is "SendImage a 0"."""
    lines = []
    for action in actions:
        fields = [getattr(action, name) for name in action.__struct_fields__ if name not in ("facts", "detail")]
        if isinstance(action, FailPlugin):
            fields = [action.plugin, action.outcome, action.code]
        lines.append(" ".join([type(action).__name__, *map(str, fields)]))
    return lines
