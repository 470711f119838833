"""Where the images of this worker are inspected: here, or by the agent of this host."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from douane.agent import Agent
from douane.declared import DeclaredImage
from douane.engine import (
    DouaneError,
    Inspection,
    Plan,
    PlanError,
    Report,
    RunEnded,
    RunOptions,
    choose_tier,
    load_plan,
    plan_digest,
    probe,
)
from douane.sandbox import Tier

from .settings import Settings
from .upload.body import NotAccepted

log = logging.getLogger("douane")


class Passage(Protocol):
    """One image's inspection, as the body feeds it; `report` is there when it is over."""

    report: Report | None
    error: DouaneError | None
    digest: str
    """SHA-256 (hex) of the plan that it goes through: of its settings, and of the code of its plugins."""

    def write(self, data: bytes) -> None: ...
    def finish(self) -> None: ...
    def abort(self, reason: str) -> None: ...


class Gate(Protocol):
    """Begins inspections."""

    plugins: frozenset[str]
    """Names of the plan's plugins: each owns the properties ``NAME.*``."""

    def begin(self, declared: DeclaredImage, size: int | None, name: str) -> Passage:
        """Begin one. Raises DouaneError."""


def emit(plugin: str, level: int, text: str) -> None:
    """Lines of plugins go where Glance's own go."""
    log.log(level, "%s: %s", plugin, text)


class LocalGate:
    """The engine in this process. Every plugin was started once when it was made: what is broken is so at once.

    Raises PlanError or DouaneError, with what to do.
    """

    def __init__(self, settings: Settings) -> None:
        plan = load_plan(settings.config)
        if not plan.plugins:
            raise PlanError(f"{settings.config} has no plugin: every image would be let in; write one")
        self.tier: Tier = choose_tier(plan, settings.sandbox)
        members = probe(plan, tier=self.tier, emit=emit)
        self.transforms = any(member.is_transform for member in members)
        self.plan: Plan = plan.for_image_service(transforms=self.transforms)
        self.digest = plan_digest(members)
        self.plugins = frozenset(member.spec.name for member in members)

    def begin(self, declared: DeclaredImage, size: int | None, name: str) -> FedPassage:
        try:
            inspection = Inspection(self.plan, declared, RunOptions(tier=self.tier, emit=emit), name=name, size=size)
        except (OSError, RuntimeError) as error:  # no descriptor, no thread is to be had
            raise DouaneError(f"no inspection can be begun: {error}") from error
        return FedPassage(inspection, self.digest)


class AgentGate:
    """The agent of this host, which must run when Glance starts: a wrong path is seen then.

    What plugins it has is asked for anew for each image: it may have read another plan since. Raises DouaneError.
    """

    def __init__(self, path: str) -> None:
        self._agent = Agent(path)
        self.plugins: frozenset[str] = frozenset()
        self._ask()

    def _ask(self) -> None:
        self.plugins = frozenset(map(str, self._agent.plan()["plugins"]))

    def begin(self, declared: DeclaredImage, size: int | None, name: str) -> Passage:
        self._ask()
        passage = self._agent.begin(declared, size, name)
        return FedPassage(passage, passage.plan)


class Feeding(Protocol):
    """An :class:`Inspection` in this process, or one by the agent."""

    def write(self, data: bytes) -> None: ...
    def finish(self) -> Report: ...
    def result(self) -> Report: ...
    def abort(self, reason: str) -> None: ...


class FedPassage:
    """See :class:`Passage`."""

    def __init__(self, inspection: Feeding, digest: str) -> None:
        self._inspection = inspection
        self.digest = digest
        self.report: Report | None = None
        self.error: DouaneError | None = None

    def write(self, data: bytes) -> None:
        try:
            self._inspection.write(data)
        except RunEnded:
            self._take(self._inspection.result)
            raise NotAccepted from None

    def finish(self) -> None:
        self._take(self._inspection.finish)
        if self.report is None or self.report.outcome != "accepted":
            raise NotAccepted

    def abort(self, reason: str) -> None:
        self._inspection.abort(reason)

    def _take(self, outcome: Callable[[], Report]) -> None:
        try:
            self.report = outcome()
        except DouaneError as error:
            self.error = error
        except Exception as error:  # whatever it is, the image is not inspected, and the tenant is told so
            log.exception("an inspection failed")
            self.error = DouaneError(f"the inspection failed: {error!r}")


def gate(settings: Settings) -> Gate:
    """The gate that `settings` ask for. Raises PlanError or DouaneError if it cannot be used."""
    return AgentGate(settings.agent) if settings.agent is not None else LocalGate(settings)
