"""What becomes of plugins that have not answered when a run ends, or when auditors have had their moment. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from .actions import Action, FailPlugin, StopPlugin, WithdrawAccept
from .stage import PluginState

_UNKNOWN = "the check has accepted; the image was decided before it was known whether anything is unread"
_TOO_SLOW = "was not done when all else was, and an auditor never holds up an import"


def stop_unanswered(plugins: Iterable[PluginState]) -> list[Action]:
    """The image is decided without them. An accept that is held is none."""
    return [
        StopPlugin(plugin.name) if plugin.held is None else WithdrawAccept(plugin.name, "stopped", "stopped", _UNKNOWN)
        for plugin in plugins
        if plugin.verdict is None
    ]


def drop_slow_auditors(plugins: Iterable[PluginState]) -> list[Action]:
    """Only auditors are left, and they are too slow."""
    return [
        FailPlugin(plugin.name, "incomplete", "auditor-too-slow", _TOO_SLOW)
        if plugin.held is None
        else WithdrawAccept(plugin.name, "incomplete", "auditor-too-slow", f"the check {plugin.name!r} {_TOO_SLOW}")
        for plugin in plugins
        if plugin.verdict is None
    ]
