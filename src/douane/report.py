"""What is told at the end: a verdict for each plugin, and the whole."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Outcome = Literal["accepted", "refused", "undecided"]
PluginOutcome = Literal["accepted", "refused", "deferred", "incomplete", "failed", "timeout", "stopped"]
EXIT_CODES: dict[Outcome, int] = {"accepted": 0, "refused": 1, "undecided": 3}
"""The exit code of the command line for each outcome."""
PropertyValue = str | int | float | bool


class Warned(msgspec.Struct, frozen=True):
    """Something the tenant is told without being refused."""

    code: str
    message: str


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What exactly was run: enough to say later whether it would be the same today."""

    use: str
    kind: str | None = None
    reads: str | None = None
    api: int | None = None
    version: str | None = None
    code_sha256: str | None = None
    config_sha256: str | None = None
    sandbox: str


class Verdict(msgspec.Struct, kw_only=True):
    """One plugin's answer, or what happened instead. `seconds` is the time that it had work to do."""

    plugin: str
    outcome: PluginOutcome
    code: str | None = None
    message: str | None = None
    mode: str = "enforce"
    warnings: list[Warned] = []
    properties: dict[str, PropertyValue] = {}
    proposed: dict[str, PropertyValue | None] = {}
    bytes_seen: int = 0
    bytes_total: int | None = None
    seconds: float = 0.0
    retry_after: float | None = None
    ran: Ran | None = None
    detail: str | None = None
    decisive: bool = False


class Proposed(msgspec.Struct, frozen=True):
    """A property outside of all plugins' namespaces, or None for one that is to be removed; and who proposed it."""

    value: PropertyValue | None
    plugin: str


class Bytes(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The bytes at one end: how many, and their digests (hex). Without digests if not all were read."""

    size: int
    complete: bool
    md5: str | None = None
    sha256: str | None = None
    sha512: str | None = None

    def digests(self) -> dict[str, str]:
        """The digests that there are, by algorithm."""
        found = {"md5": self.md5, "sha256": self.sha256, "sha512": self.sha512}
        return {name: value for name, value in found.items() if value is not None}


class Report(msgspec.Struct, kw_only=True):
    """The outcome of one pass. `code` and `message` are for the tenant; None when it was accepted."""

    outcome: Outcome
    code: str | None = None
    message: str | None = None
    verdicts: list[Verdict]
    received: Bytes
    stored: Bytes
    disk_format: str | None = None
    container_format: str | None = None
    virtual_size: int | None = None
    properties: dict[str, PropertyValue] = {}
    proposed: dict[str, Proposed] = {}
    sandbox: str
    temporary_bytes: int = 0
    seconds: float
    retry_after: float | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of the command line for this outcome."""
        return EXIT_CODES[self.outcome]

    @property
    def is_transformed(self) -> bool:
        """True if what came out is not known to be, byte for byte, what came in. Where no plugin is a transform it is,
        also without digests."""
        before, after = self.received.digests(), self.stored.digests()
        both = before.keys() & after.keys()
        if self.received.size != self.stored.size or any(before[name] != after[name] for name in both):
            return True
        return not both and any(each.ran is None or each.ran.kind != "inspector" for each in self.verdicts)

    def to_json(self) -> dict[str, Any]:
        """Builtin types only, as the command line prints them."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told
