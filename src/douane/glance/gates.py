"""Where the images of this worker are inspected: here, or by the agent of this host."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from douane.agent import Agent
from douane.engine import (
    DouaneError,
    Inspection,
    PassEnded,
    Plan,
    PlanError,
    Report,
    choose_tier,
    load_plan,
    plan_digest,
    probe,
)
from douane.sandbox import Tier

from .body import NotAccepted
from .settings import Settings

log = logging.getLogger("douane")

Declared = dict[str, Any]


class Passage(Protocol):
    """One image's inspection, as the body feeds it; `report` is there when it is over."""

    report: Report | None
    error: DouaneError | None

    def write(self, data: bytes) -> None: ...
    def finish(self) -> None: ...
    def abort(self, reason: str) -> None: ...


class Gate(Protocol):
    """Begins inspections."""

    transforms: bool
    """True if the plan has transforms: what comes out of it may be another image than went in."""

    digest: str
    """SHA-256 (hex) of the plan: of its settings, and of the code of its plugins."""

    def begin(self, declared: Declared, size: int | None, name: str) -> Passage:
        """Begin one. Raises DouaneError."""


def emit(plugin: str, level: int, text: str) -> None:
    """Lines of plugins go where Glance's own go."""
    log.log(level, "%s: %s", plugin, text)


class LocalGate:
    """The engine in this process. Every plugin was started once when it was made: what is broken is so at once.

    Raises PlanError or DouaneError, with what to do.
    """

    def __init__(self, settings: Settings) -> None:
        self.plan: Plan = load_plan(settings.config)
        if not self.plan.plugins:
            raise PlanError(f"{settings.config} has no plugin: every image would be let in; write one")
        self.tier: Tier = choose_tier(self.plan, settings.sandbox)
        members = probe(self.plan, tier=self.tier, emit=emit)
        self.transforms = any(member.is_transform for member in members)
        self.digest = plan_digest(members)

    def begin(self, declared: Declared, size: int | None, name: str) -> Passage:
        return FedPassage(Inspection(self.plan, declared, tier=self.tier, name=name, size=size, emit=emit))


class AgentGate:
    """The agent of this host, which must run when Glance starts: a wrong path is seen then.

    What it serves is asked for anew for each image: it may have read another plan since. Raises DouaneError.
    """

    def __init__(self, path: str) -> None:
        self._agent = Agent(path)
        self.transforms, self.digest = False, ""
        self._ask()

    def _ask(self) -> None:
        told = self._agent.plan()
        self.transforms, self.digest = bool(told["transforms"]), str(told["digest"])

    def begin(self, declared: Declared, size: int | None, name: str) -> Passage:
        self._ask()
        return FedPassage(self._agent.begin(declared, size, name))


class Feeding(Protocol):
    """An :class:`Inspection` in this process, or one by the agent."""

    def write(self, data: bytes) -> None: ...
    def finish(self) -> Report: ...
    def result(self) -> Report: ...
    def abort(self, reason: str) -> None: ...


class FedPassage:
    """See :class:`Passage`."""

    def __init__(self, inspection: Feeding) -> None:
        self._inspection = inspection
        self.report: Report | None = None
        self.error: DouaneError | None = None

    def write(self, data: bytes) -> None:
        try:
            self._inspection.write(data)
        except PassEnded:
            self._conclude()

    def finish(self) -> None:
        try:
            self.report = self._inspection.finish()
        except DouaneError as error:
            self.error = error
        if self.report is None or self.report.outcome != "accepted":
            raise NotAccepted

    def abort(self, reason: str) -> None:
        self._inspection.abort(reason)

    def _conclude(self) -> None:
        try:
            self.report = self._inspection.result()
        except DouaneError as error:
            self.error = error
        raise NotAccepted


def gate(settings: Settings) -> Gate:
    """The gate that `settings` ask for. Raises PlanError or DouaneError if it cannot be used."""
    return AgentGate(settings.agent) if settings.agent is not None else LocalGate(settings)
