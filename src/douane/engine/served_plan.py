"""A plan that an image service uses for many images: each plugin was started once to try it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from douane.errors import PlanError
from douane.evidence import check_evidence
from douane.host.base import PluginProcess
from douane.plan.model import Plan
from douane.plan.parse import load_plan
from douane.sandbox import Tier

from .digest_of_plan import plan_digest
from .inspect import can_refuse, choose_tier, probe

log = logging.getLogger("douane")


class PlanFacts(msgspec.Struct, tag_field="state", tag="done"):
    """The plan that the agent serves."""

    transforms: bool
    """True if an image may change on its way, whichever store it goes into."""
    digest: str
    """SHA-256 (hex) of the plugins, their settings and their code."""
    tier: str
    plugins: list[str]
    """Names, in order; each plugin owns the properties ``NAME.*``."""
    can_refuse: bool = True
    """False if the plan lets every image in, whatever its plugins say."""
    upload_transforms: dict[str, list[str]] = {}
    """The transforms that an upload may need: by name, the roles of senders who are exempt."""
    signs: bool = False
    """True if each accepted image gets a signed summary."""


class ServedPlan(msgspec.Struct, frozen=True):
    """A plan, the tier that it runs in, and the facts that clients learn of it."""

    plan: Plan
    tier: Tier
    facts: PlanFacts

    @classmethod
    def load(cls, config: str | None, sandbox: str | None, *, digests: bool = False) -> ServedPlan:
        """Read the plan `config` and start each plugin once, so that a broken plugin shows now and not with an image.

        `sandbox` is a tier, or None for the best that this host supports. With `digests` the plan's own are taken;
        without, those that its host needs, which takes digests itself. Raises PlanError or DouaneError.
        """
        plan = load_plan(config)
        if not plan.plugins:
            raise PlanError(f"{config} has no plugin: every image would be let in; write one")
        tier = choose_tier(plan, sandbox)
        probed = probe(plan, tier=tier, emit=emit)
        processes = probed.plugins
        transforms = any(process.is_transform and not process.spec.stores for process in processes)
        names = [process.spec.name for process in processes]
        facts = PlanFacts(
            transforms,
            plan_digest(probed.processes),
            tier.value,
            names,
            can_refuse(processes),
            _upload_transforms(processes),
            plan.evidence is not None,
        )
        check_evidence(plan)
        if not facts.can_refuse:
            log.warning('%s has no plugin with mode = "enforce": every image is let in', config)
        bound = [process.spec.name for process in processes if process.spec.stores]
        if bound and not digests:
            log.warning("left out, since 'stores' binds them to stores of `douane serve`: %s", ", ".join(bound))
        return cls(plan if digests else plan.for_image_service(transforms=transforms), tier, facts)

    @property
    def holds_connections(self) -> bool:
        """True if a plugin is granted a connection. Its other end would not wait for the next image for ever."""
        unbound = (spec for spec in self.plan.plugins if not spec.stores)
        targets = (target for spec in unbound for target in spec.grants.values())
        return any(target.startswith(("unix:", "tcp:")) for target in targets)


def _upload_transforms(processes: Sequence[PluginProcess]) -> dict[str, list[str]]:
    return {
        process.spec.name: list(process.spec.exempt_roles)
        for process in processes
        if process.is_transform and "upload" in process.spec.only and not process.spec.stores
    }


def emit(plugin: str, level: int, text: str) -> None:
    """Write a plugin's line into the log of this process."""
    log.log(level, "%s: %s", plugin, text)
