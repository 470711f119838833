"""The first frame of a sandboxed process: the layers it put on, and the results of its own attempts to get out."""

from __future__ import annotations

from typing import Any

import msgspec

from douane.errors import GrantReplaced, SandboxError

from .spec import SandboxSpec, Tier

_REFUSED = "refused"
_ALWAYS_TRIED = frozenset(
    ("read the host's accounts", "create a file", "internet socket", "unix socket", "ptrace", "unshare", "memfd_create")
)


class SelfTestReport(msgspec.Struct, frozen=True):
    """What the launcher reported before it loaded the plugin's code."""

    tier: Tier
    layers: dict[str, Any]
    """namespaces, cgroup, identity, limits, landlock, seccomp: how each was applied."""

    probes: dict[str, str]
    """Each attempt and its result, "refused" if the sandbox holds."""

    error: str = ""
    """Why the sandbox could not be closed; empty if it is closed."""

    replaced: str = ""
    """A granted path that does not lead to the file any more that the engine has opened."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the operator about weaknesses of this sandbox."""
        note = self.layers.get("identity", {}).get("note")
        return (note,) if note else ()


def confirm(payload: bytes, sandbox: SandboxSpec) -> SelfTestReport:
    """Check the payload of the CAGED frame. Raises SandboxError, which names the attempt that succeeded, or what is
    missing; GrantReplaced if a granted path leads elsewhere than when it was opened."""
    try:
        report = msgspec.json.decode(payload, type=SelfTestReport)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SandboxError(
            f"{sandbox.name}: the process sent no report of its sandbox ({payload[:80]!r}); nothing was loaded"
        ) from error
    if report.replaced:
        raise GrantReplaced(f"{sandbox.name}: {report.error}")
    if report.error:
        raise SandboxError(f"{sandbox.name}: {report.error}")
    if report.tier is not sandbox.tier:
        raise SandboxError(f"{sandbox.name}: the sandbox is of tier {report.tier.value!r}, not {sandbox.tier.value}")
    succeeded = sorted(name for name, result in report.probes.items() if result != _REFUSED)
    if succeeded:
        raise SandboxError(f"{sandbox.name}: the sandbox is not closed: {', '.join(succeeded)} was not refused")
    if sandbox.tier is not Tier.OFF:
        missing = sorted(_ALWAYS_TRIED - report.probes.keys())
        if missing or not report.layers.get("seccomp") or not report.layers.get("landlock"):
            raise SandboxError(
                f"{sandbox.name}: the sandbox was not tested: {', '.join(missing) or 'a layer'} is missing"
            )
    return report
