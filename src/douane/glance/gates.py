"""Where the images of this worker are inspected: here, or by the agent of this host."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

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
    digest: str
    """SHA-256 (hex) of the plan that it began with: of its settings, and of the code of its plugins."""
    transforms: bool
    """True if that plan may make another image of it."""

    def write(self, data: bytes) -> None: ...
    def finish(self) -> None: ...
    def abort(self, reason: str) -> None: ...


class Gate(Protocol):
    """Begins inspections."""

    plugins: frozenset[str]
    """Names of the plan's plugins: each owns the properties ``NAME.*``."""

    def begin(self, declared: Declared, size: int | None, name: str, *, known_again: bool) -> Passage:
        """Begin one. With `known_again` the report has the digest by which an import knows the bytes again; without,
        it need not. Raises DouaneError."""


def emit(plugin: str, level: int, text: str) -> None:
    """Lines of plugins go where Glance's own go."""
    log.log(level, "%s: %s", plugin, text)


class LocalGate:
    """The engine in this process. Every plugin was started once when it was made: what is broken is so at once.

    Raises PlanError or DouaneError, with what to do.
    """

    def __init__(self, settings: Settings) -> None:
        self.plan: Plan = load_plan(settings.config).for_image_service()
        if not self.plan.plugins:
            raise PlanError(f"{settings.config} has no plugin: every image would be let in; write one")
        self.tier: Tier = choose_tier(self.plan, settings.sandbox)
        members = probe(self.plan, tier=self.tier, emit=emit)
        self.transforms = any(member.is_transform for member in members)
        # A digest of a gigabyte is half a second of a core; what is not compared afterwards needs none.
        bare = msgspec.structs.replace(self.plan, digests=(), received_digests=())
        self._unknown = self.plan if self.transforms else bare
        self.digest = plan_digest(members)
        self.plugins = frozenset(member.spec.name for member in members)

    def begin(self, declared: Declared, size: int | None, name: str, *, known_again: bool) -> FedPassage:
        plan = self.plan if known_again else self._unknown
        try:
            inspection = Inspection(plan, declared, tier=self.tier, name=name, size=size, emit=emit)
        except (OSError, RuntimeError) as error:  # no descriptor, no thread is to be had
            raise DouaneError(f"no inspection can be begun: {error}") from error
        return FedPassage(inspection, self.digest, transforms=self.transforms)


class AgentGate:
    """The agent of this host, which must run when Glance starts: a wrong path is seen then.

    What it serves is asked for anew for each image: it may have read another plan since. Asked before the image is
    begun, it is at worst the plan before: then the image is inspected again when it is imported. Raises DouaneError.
    """

    def __init__(self, path: str) -> None:
        self._agent = Agent(path)
        self.plugins: frozenset[str] = frozenset()
        self._ask()

    def _ask(self) -> tuple[str, bool]:
        told = self._agent.plan()
        self.plugins = frozenset(map(str, told["plugins"]))
        return str(told["digest"]), bool(told["transforms"])

    def begin(self, declared: Declared, size: int | None, name: str, *, known_again: bool) -> Passage:
        digest, transforms = self._ask()  # the agent takes a digest of every image
        return FedPassage(self._agent.begin(declared, size, name), digest, transforms=transforms)


class Feeding(Protocol):
    """An :class:`Inspection` in this process, or one by the agent."""

    def write(self, data: bytes) -> None: ...
    def finish(self) -> Report: ...
    def result(self) -> Report: ...
    def abort(self, reason: str) -> None: ...


class FedPassage:
    """See :class:`Passage`."""

    def __init__(self, inspection: Feeding, digest: str, *, transforms: bool) -> None:
        self._inspection = inspection
        self.digest = digest
        self.transforms = transforms
        self.report: Report | None = None
        self.error: DouaneError | None = None

    def write(self, data: bytes) -> None:
        try:
            self._inspection.write(data)
        except PassEnded:
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
