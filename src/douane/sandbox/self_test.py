"""The first thing a cage says: which layers it has, and how its own attempts to get out ended."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from douane.errors import SandboxError

from .cage import Cage, Tier

_REFUSED = "refused"
_ALWAYS_TRIED = frozenset(
    ("read /etc/passwd", "create a file", "internet socket", "unix socket", "ptrace", "unshare", "memfd_create")
)


@dataclass(frozen=True)
class CageReport:
    """What the launcher told before the plugin's code was loaded."""

    tier: Tier
    layers: dict[str, Any] = field(default_factory=dict)
    """namespaces, cgroup, identity, limits, landlock, seccomp: as each was applied."""

    probes: dict[str, str] = field(default_factory=dict)
    """What was tried, all of it "refused"."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the operator about what is weaker than it could be."""
        note = self.layers.get("identity", {}).get("note")
        return (note,) if note else ()


def confirm(report: bytes, cage: Cage) -> CageReport:
    """Check the payload of the CAGED frame. Raises SandboxError naming what got through, or what is missing."""
    try:
        told = json.loads(report)
        tier, layers, probes = told["tier"], told["layers"], told["probes"]
        error = told.get("error")
        if not (isinstance(layers, dict) and isinstance(probes, dict)):
            raise TypeError("layers and probes are objects")
    except (ValueError, LookupError, TypeError, AttributeError) as problem:
        raise SandboxError(
            f"{cage.name}: the process gave no report of its cage ({report[:80]!r}); nothing was loaded"
        ) from problem
    if error:
        raise SandboxError(f"{cage.name}: {error}")
    if tier != cage.tier.value:
        raise SandboxError(f"{cage.name}: the cage is of tier {tier!r:.20}, not {cage.tier.value}")
    through = sorted(name for name, result in probes.items() if result != _REFUSED)
    if through:
        raise SandboxError(f"{cage.name}: the cage is not closed: {', '.join(through)} was not refused")
    if cage.tier is not Tier.OFF:
        missing = sorted(_ALWAYS_TRIED - probes.keys())
        if missing or not layers.get("seccomp") or not layers.get("landlock"):
            raise SandboxError(f"{cage.name}: the cage was not tested: {', '.join(missing) or 'a layer'} is missing")
    return CageReport(cage.tier, layers, dict(probes))
