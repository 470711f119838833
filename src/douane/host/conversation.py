"""The state of the conversation with a plugin's process: which frame may come when. No I/O."""

from __future__ import annotations

from enum import Enum

import msgspec

from douane_plugin import API_LEVEL, wire

from .advice import not_advice, with_advice
from .failure import Failure
from .messages import MAX_TRACE, Described, Failed, Violation, name_of
from .policy import clean, clean_lines

LEVELS = range(1, API_LEVEL + 1)
"""The levels of the contract that this Douane speaks."""

CONFIGURATION_ERRORS = ("SettingError", "LoadError", "ValueError", "TypeError")
"""Exceptions of a constructor that reject its configuration; all others are failures of the plugin."""


class Phase(Enum):
    """The progress of a plugin from its start to its answer."""

    LOADING = "loading"
    CONFIGURING = "configuring"
    READY = "ready"
    RUNNING = "running"
    ANSWERED = "answered"


_LOADED = frozenset({Phase.CONFIGURING, Phase.READY, Phase.RUNNING})
_TALKING = frozenset({Phase.LOADING, *_LOADED})
_RUNNING = frozenset({Phase.RUNNING})

ALLOWED = {
    wire.DESCRIBED: frozenset({Phase.LOADING}),
    wire.READY: frozenset({Phase.CONFIGURING}),
    wire.RELEASE: _TALKING,
    wire.PROGRESS: _TALKING,
    wire.LOG: _TALKING,
    wire.ALIVE: _TALKING,
    wire.FAILED: _TALKING,
    wire.WARN: _LOADED,
    wire.BECOMES: _RUNNING,
    wire.BEGIN: _RUNNING,
    wire.UNCHANGED: _RUNNING,
    wire.ACCEPT: _RUNNING,
    wire.REFUSE: _RUNNING,
    wire.DEFER: _RUNNING,
    wire.INCOMPLETE: _RUNNING,
}
"""The phases in which a frame may come; a frame that is not listed may never come."""

TRANSFORM_FRAMES = frozenset({wire.BECOMES, wire.BEGIN, wire.UNCHANGED})


class Conversation:
    """The phase of one plugin process, and a transform's decision."""

    def __init__(self) -> None:
        self.phase = Phase.LOADING
        self.decided = False
        """A transform has said whether there is anything to do."""

        self._forced = False

    def check(self, kind: int, *, is_transform: bool) -> None:
        """Raise Violation unless a frame of this type may come now."""
        if self.phase is Phase.ANSWERED:
            raise Violation("it answered, and then went on talking")
        allowed = ALLOWED.get(kind)
        if allowed is None or (kind in TRANSFORM_FRAMES and not is_transform):
            raise Violation(f"it sent a frame of type {name_of(kind)}")
        if self.phase not in allowed:
            raise Violation(f"it sent {name_of(kind)} while it was {self.phase.value}")

    def decide(self, *, unchanged: bool) -> None:
        """A transform decides whether there is anything to do. Raises Violation if that cannot be decided now."""
        if self.decided:
            raise Violation("it decided twice whether there is something to do")
        if self._forced and unchanged:
            raise Violation("it said that there is nothing to do after it had read too much of the image")
        self.decided = True

    def force(self) -> None:
        """Forbid `unchanged`: the beginning of the image has left the ring."""
        self._forced = True


class Unusable(msgspec.Struct, frozen=True):
    """The plugin cannot be used as it is configured; `reason` and `trace` are for the operator."""

    reason: str
    trace: str | None = None


def check_level(described: Described) -> Unusable | None:
    """Reject a plugin that is written for an unknown level of the contract; None if the level is known."""
    if described.api in LEVELS:
        return None
    return Unusable(
        f"it is written for contract level {described.api}, and this Douane knows "
        f"{LEVELS.start} to {LEVELS.stop - 1}; upgrade Douane, or use an older release of the plugin"
    )


def judge_failure(
    failed: Failed, phase: Phase, unloaded: str, advice: str = "", *, is_builtin: bool = False
) -> Unusable | Failure:
    """Attribute the exception in a FAILED frame to the configuration or to the plugin.

    `unloaded` is the message for code that cannot be loaded; `advice` is for the operator, after the exception. A
    plugin that `is_builtin` says in a sentence what is wrong with its settings: a traceback through Douane is no help.
    """
    kind, message = clean(failed.kind, 100), not_advice(clean(failed.message))
    at_load = phase is Phase.LOADING or failed.stage == "load"
    if phase is not Phase.RUNNING and (at_load or (kind in CONFIGURATION_ERRORS and not failed.is_bug)):
        trace = not_advice(clean_lines(failed.trace, MAX_TRACE))
        if kind in ("SettingError", "LoadError"):
            return Unusable(message)
        said = f"{message}. {advice}" if advice else message
        if at_load:
            return Unusable(f"{unloaded}: {kind}: {said}", trace)
        return Unusable(f"its configuration is refused: {said}", None if is_builtin else trace)
    trace = with_advice(failed.trace or f"{kind}: {message}", advice)
    if kind == "MemoryError":
        return Failure("failed", "plugin-memory", "ran out of its memory", trace)
    fault = "failed; that is a fault of the check, not of the image"
    return Failure("failed", "plugin-error", fault, trace)
