"""Everything that a run produced, as data: the outcome, a verdict for each plugin, the bytes at both ends.

The fields are the keys of ``--json``, of the agent's answers and of the catalog's reports: none is ever renamed
(docs/promise.md).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Outcome = Literal["accepted", "refused", "undecided"]
PluginOutcome = Literal["accepted", "refused", "deferred", "incomplete", "failed", "timeout", "stopped"]
EXIT_CODES: dict[Outcome, int] = {"accepted": 0, "refused": 1, "undecided": 3}
"""The exit code of the command line for each outcome."""
PropertyValue = str | int | float | bool


class Warned(msgspec.Struct, frozen=True):
    """A warning: the tenant reads it, and the image is not refused for it."""

    code: str
    """For programs."""

    message: str
    """For the tenant."""


class GrantedContent(msgspec.Struct, frozen=True):
    """A granted file or folder, as it was when the plugin was started."""

    kind: str
    """``file`` or ``dir``."""

    bytes: int
    """The length of the file, or of all files in the folder."""

    modified: str
    """The time of its last change, in UTC; of a folder, of the last change of anything in it."""

    sha256: str | None = None
    """Of a file, digest (hex) of its content; None if it is longer than 64 MiB. Of a folder, of its listing: the names,
    kinds, lengths and times of all that is in it."""

    files: int | None = None
    """The number of files and folders in a folder."""

    path: str | None = None
    """Where the plugin finds it; None if it has only the open file."""


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """What exactly was run: enough to say later whether it would be the same today."""

    use: str
    """As in the plan."""

    kind: str | None = None
    """``inspector``, ``transform`` or ``program``; None if the plugin did not describe itself."""

    reads: str | None = None
    """The `reads` value of the class."""

    api: int | None = None
    """The level of the contract."""

    version: str | None = None
    """The version of the distribution that installed the plugin; None for a plugin in a file, and for a program."""

    code_sha256: str | None = None
    """Digest (hex) of the plugin's code."""

    config_sha256: str | None = None
    """Digest (hex) of its configuration, grants included."""

    grants: dict[str, GrantedContent] = {}
    """The granted files and folders, by name."""

    sandbox: str
    """The tier of its sandbox."""

    earlier_images: int = 0
    """Images that its process had served before this one (`reuse`)."""


class Verdict(msgspec.Struct, kw_only=True):
    """One plugin's answer, or what happened instead."""

    plugin: str
    """The name in the plan."""

    outcome: PluginOutcome
    """The answer, before the policy weighs it."""

    code: str | None = None
    """For programs: the plugin's own, or what happened to it; None if it accepted."""

    message: str | None = None
    """For the tenant; None if the plugin accepted."""

    mode: str = "enforce"
    """The mode in the plan."""

    warnings: list[Warned] = []
    """In the order in which the plugin gave them."""

    properties: dict[str, PropertyValue] = {}
    """The properties in the plugin's namespace, by full name."""

    proposed: dict[str, PropertyValue | None] = {}
    """The properties of the image itself that the plugin sets; None removes a property."""

    documents: dict[str, Any] = {}
    """The documents that the plugin attached for the operator, by name: any JSON."""

    bytes_seen: int = 0
    """Bytes of the image that the plugin has read."""

    bytes_total: int | None = None
    """Bytes in the image that it read from; None if that is not known."""

    seconds: float = 0.0
    """The time in which the plugin had work."""

    retry_after: float | None = None
    """Seconds, if it deferred."""

    ran: Provenance | None = None
    """The code that ran."""

    detail: str | None = None
    """For the operator, not for the tenant: a traceback, an exit status."""

    decisive: bool = False
    """True for the verdict that decided the outcome."""


class Proposed(msgspec.Struct, frozen=True):
    """A property outside all plugins' namespaces, and the plugin that proposed it."""

    value: PropertyValue | None
    """None removes the property."""

    plugin: str
    """The plugin's name in the plan."""


class Bytes(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The bytes at one end of a run."""

    size: int
    """Their number."""

    complete: bool
    """True if that is the whole image; only then there are digests."""

    md5: str | None = None
    """Hex, if the plan asks for it."""

    sha256: str | None = None
    """Hex, if the plan asks for it."""

    sha512: str | None = None
    """Hex, if the plan asks for it."""

    def digests(self) -> dict[str, str]:
        """The digests that were taken, by algorithm."""
        digests = {"md5": self.md5, "sha256": self.sha256, "sha512": self.sha512}
        return {name: value for name, value in digests.items() if value is not None}


class Report(msgspec.Struct, kw_only=True):
    """The outcome of one run, with the evidence."""

    outcome: Outcome
    """Only ``accepted`` lets an image in."""

    code: str | None = None
    """The reason, for programs; None if the image was accepted."""

    message: str | None = None
    """The reason, for the tenant; None if the image was accepted."""

    verdicts: list[Verdict]
    """One for each plugin, in the order of the plan."""

    received: Bytes
    """The image as it arrived."""

    stored: Bytes
    """The image as it came out."""

    disk_format: str | None = None
    """The format that was determined; the declared format if no plugin looked."""

    container_format: str | None = None
    """As `disk_format`; ``bare`` if nothing was declared."""

    virtual_size: int | None = None
    """Bytes of the disk that a guest sees; None if not known."""

    properties: dict[str, PropertyValue] = {}
    """The properties of all plugins, by full name."""

    proposed: dict[str, Proposed] = {}
    """The properties of the image itself that plugins set, by name."""

    sandbox: str
    """The tier of the run."""

    readers: list[Verdict] = []
    """One for each reader of files: what it was, how long it took, and what it could not read. They have no say."""

    temporary_bytes: int = 0
    """The most that temporary files took on the disk at one time."""

    seconds: float
    """The duration of the run."""

    retry_after: float | None = None
    """Seconds, if the decisive plugin deferred."""

    plan_sha256: str | None = None
    """Digest (hex) of the plan that the image went through: the plugins, their settings and their code."""

    summary: dict[str, Any] | None = None
    """The signed summary of an accepted image (an envelope of DSSE), if the plan has ``[evidence]``."""

    @property
    def exit_code(self) -> int:
        """The exit code of the command line for this outcome."""
        return EXIT_CODES[self.outcome]

    @property
    def is_transformed(self) -> bool:
        """False if the stored image is known to equal the received image, byte for byte.

        Digests show that; without digests it is known only if no plugin is a transform.
        """
        received, stored = self.received.digests(), self.stored.digests()
        common = received.keys() & stored.keys()
        if self.received.size != self.stored.size or any(received[name] != stored[name] for name in common):
            return True
        return not common and not all(map(_is_inspector, self.verdicts))

    def verdicts_on_stored(self) -> list[Verdict]:
        """The verdicts on the bytes that are stored: those before the last transform judged others."""
        if not self.is_transformed:
            return self.verdicts
        last = max((number for number, each in enumerate(self.verdicts) if not _is_inspector(each)), default=-1)
        return self.verdicts[last + 1 :]

    def to_json(self) -> dict[str, Any]:
        """The report in builtin types, as the command line prints it."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields


def _is_inspector(verdict: Verdict) -> bool:
    return verdict.ran is not None and verdict.ran.kind == "inspector"
