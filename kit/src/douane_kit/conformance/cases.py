"""A case, which is an image with declared facts and cuts, and the outcome of a plugin on it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from douane.host.messages import Cause as SandboxCause

_ids = itertools.count(1)

Cuts = int | tuple[int, ...]
"""The length of all chunks, 0 for one chunk, or the offsets at which the image is cut."""

MIN_OUTPUT_LIMIT = 96 << 20
OUTPUT_RATIO_LIMIT = 2000
"""A transform may yield so many times the bytes of the image, or the 96 MiB above."""


@dataclass(frozen=True)
class Facts:
    """The declared facts of an image. `size` is True if the size is declared, and then it is true."""

    name: str | None = "image.img"
    size: bool = True
    disk_format: str | None = "raw"
    container_format: str | None = "bare"
    owner: str | None = None
    roles: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    findings: tuple[tuple[str, Any], ...] = ()

    def to_json(self, length: int) -> dict[str, Any]:
        """Return the facts of an IMAGE frame for an image of `length` bytes."""
        return {
            "name": self.name,
            "size": length if self.size else None,
            "disk_format": self.disk_format,
            "container_format": self.container_format,
            "owner": self.owner,
            "roles": list(self.roles),
            "properties": dict(self.properties),
            "findings": dict(self.findings),
        }

    def describe(self) -> str:
        """Return the facts as text."""
        parts = [
            f"name {self.name!r}" if self.name is not None else "no name",
            "size known" if self.size else "size not known",
            f"disk format {self.disk_format!r}" if self.disk_format is not None else "no disk format",
        ]
        if self.container_format is None:
            parts.append("no container format")
        elif self.container_format != "bare":
            parts.append(f"container format {self.container_format!r}")
        if self.owner is not None:
            parts.append(f"owner {self.owner!r}")
        if self.roles:
            parts.append(f"roles {', '.join(self.roles)}")
        for name, pairs in (("properties", self.properties), ("findings", self.findings)):
            if pairs:
                parts.append(f"{name} " + ", ".join(f"{key}={value!r}" for key, value in pairs))
        return ", ".join(parts)


USUAL = Facts()


def declare(properties: Mapping[str, str], findings: Mapping[str, Any]) -> Facts:
    """Return the usual facts with these properties and findings."""
    return replace(USUAL, properties=tuple(properties.items()), findings=tuple(findings.items()))


NOTHING_DECLARED = Facts(None, False, None, None)


@dataclass(frozen=True)
class Case:
    """One run of the plugin.

    `trace` records the exceptions that pass through the plugin, `measure_memory` its largest amount of memory;
    `output` is the number of bytes of a transform's output to return.
    """

    data: bytes
    cuts: Cuts = 0
    facts: Facts = USUAL
    trace: bool = False
    measure_memory: bool = False
    output: int = 0
    id: int = field(default_factory=lambda: next(_ids), compare=False)

    def to_json(self, offset: int, reload: bool) -> dict[str, Any]:
        """Return the case for the driver, which finds the image at `offset` of the shared memory."""
        return {
            "id": self.id,
            "offset": offset,
            "length": len(self.data),
            "facts": self.facts.to_json(len(self.data)),
            "cuts": self.cuts,
            "trace": self.trace,
            "measure_memory": self.measure_memory,
            "output": self.output,
            "reload": reload,
            "max_output": max(MIN_OUTPUT_LIMIT, OUTPUT_RATIO_LIMIT * len(self.data)),
        }


class Outcome(msgspec.Struct, frozen=True):
    """The outcome of a case.

    `kind` is "accepted", "refused", "incomplete", "deferred" or "failed"; the host adds "hangs" and "died". `error` is
    the class of the exception of a failure, `origin` the place in the contract that raised it, `line` the last line of
    the plugin in its traceback; `is_bug` tells a TypeError of the constructor that does not refuse the configuration,
    and `sandbox_cause` is what a sandbox may be the reason of. `process_cpu` is the processor time of the process so
    far. `peak` is what Python's objects took at most, `resident` all private memory of the processes, as the engine
    measures it; `next_fd` is the lowest free descriptor afterwards. Lengths are in bytes, times in seconds.
    """

    kind: str
    id: int = 0
    code: str = ""
    message: str = ""
    error: str = ""
    stage: str = ""
    line: int = 0
    origin: str = ""
    trace: str = ""
    is_configuration: bool = False
    is_program: bool = False
    is_bug: bool = False
    sandbox_cause: SandboxCause | None = None
    cause: tuple[str, str, str] | None = None
    properties: dict[str, Any] = {}
    proposed: dict[str, Any] = {}
    becomes: dict[str, str] = {}
    warnings: tuple[tuple[str, str], ...] = ()
    events: tuple[str, ...] = ()
    exceptions: tuple[tuple[str, str, int, str], ...] = ()
    is_unchanged: bool = False
    output_size: int = 0
    output_sha256: str = ""
    output: str = ""
    bytes_seen: int = 0
    chunks: int = 0
    printed: int = 0
    logged: int = 0
    slept: float = 0.0
    cpu: float = 0.0
    wall: float = 0.0
    peak: int = 0
    resident: int = 0
    next_fd: int = 0
    process_cpu: float = 0.0

    @property
    def answer(self) -> tuple[Any, ...]:
        """All parts that must be equal for equal bytes."""
        if self.kind == "failed":
            return (self.kind, self.error)
        if self.kind == "deferred":
            return (self.kind,)
        if self.kind != "accepted":
            return (self.kind, self.code, self.message, self.warnings)
        pairs = (_frozen(self.properties), _frozen(self.proposed), _frozen(self.becomes))
        return (self.kind, *pairs, self.warnings, self.is_unchanged, self.output_size, self.output_sha256)

    @property
    def shape(self) -> tuple[Any, ...]:
        """The parts that differ if the plugin took another way through its code, as far as that shows."""
        names = (*sorted(self.properties), *sorted(self.proposed), *(code for code, _ in self.warnings))
        return (*self.verdict, self.error, self.line, names[:200], self.is_unchanged, self.bytes_seen.bit_length())

    @property
    def verdict(self) -> tuple[str, str]:
        """The kind and the code."""
        return (self.kind, self.code)

    @property
    def is_gone(self) -> bool:
        """True if the process hung or died, so that there is no answer to compare."""
        return self.kind in ("hangs", "died")

    def event(self, name: str) -> str | None:
        """Return the event `name`, with its detail, or None."""
        return next((event for event in self.events if event.partition(":")[0] == name), None)

    def describe(self) -> str:
        """Return the outcome as one line of text."""
        warned = "".join(f", warning {code}" for code, _ in self.warnings[:3])
        if len(self.warnings) > 3:
            warned += f" and {len(self.warnings) - 3} more"
        if self.kind == "failed":
            return f"failed: {self.error}: {self.message[:160]}"
        if self.kind in ("refused", "incomplete"):
            return f"{self.kind} {self.code}: {self.message[:160]}{warned}"
        if self.kind != "accepted":
            return self.kind
        properties = ", ".join(f"{key}={value!r:.60}" for key, value in list(self.properties.items())[:8])
        proposed = ", ".join(f"{key}={value!r:.60}" for key, value in list(self.proposed.items())[:8])
        text = "accepted" + (f" ({properties})" if properties else "") + (f", proposed {proposed}" if proposed else "")
        if self.is_unchanged:
            text += ", unchanged"
        elif self.output_size:
            text += f", output of {self.output_size} bytes (sha256 {self.output_sha256[:12]})"
        return text + warned


Trial = tuple[Case, Outcome]


def _frozen(pairs: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted((key, type(value).__name__, repr(value)) for key, value in pairs.items()))


def fails_always(trials: Sequence[Trial]) -> bool:
    """Return True if there are trials, and the plugin raised an exception in each."""
    return bool(trials) and all(outcome.kind == "failed" for _, outcome in trials)


def differ(first: Outcome, second: Outcome) -> bool:
    """Return True if two outcomes of the same bytes are two answers."""
    return not first.is_gone and not second.is_gone and first.answer != second.answer


def cut_offsets(cuts: Cuts, length: int) -> Sequence[int]:
    """Return the offsets at which `cuts` cut an image of `length` bytes."""
    if isinstance(cuts, int):
        return range(cuts, length, cuts) if cuts else ()
    return [offset for offset in cuts if 0 < offset < length]
