"""A case: an image, how it is cut, what is declared of it; and what the plugin did with it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_numbers = itertools.count(1)

Cuts = int | tuple[int, ...]
"""0: one chunk. N: chunks of N bytes. A tuple: the lengths of the first chunks; the rest is one more."""

MOST_OUTPUT_FLOOR = 96 << 20
MOST_OUTPUT_RATIO = 2000


@dataclass(frozen=True)
class Facts:
    """What is declared of an image. `size` True: the truth; False: not known."""

    name: str | None = "image.img"
    size: bool = True
    disk_format: str | None = "raw"
    container_format: str | None = "bare"
    owner: str | None = None
    roles: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    findings: tuple[tuple[str, Any], ...] = ()

    def told(self, length: int) -> dict[str, Any]:
        """As the plugin is shown them."""
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
        """What differs from nothing declared, for a person."""
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
        if self.properties:
            parts.append("properties " + ", ".join(f"{key}={value!r}" for key, value in self.properties))
        if self.findings:
            parts.append("findings " + ", ".join(f"{key}={value!r}" for key, value in self.findings))
        return ", ".join(parts)


USUAL = Facts()
NOTHING_DECLARED = Facts(None, False, None, None)


@dataclass(frozen=True)
class Case:
    """One run of the plugin."""

    data: bytes
    cuts: Cuts = 0
    facts: Facts = USUAL
    trace: bool = False
    sample: bool = False
    measure: str | None = None
    output: int = 0
    number: int = field(default_factory=lambda: next(_numbers), compare=False)

    def order(self, at: int, reload: bool) -> dict[str, Any]:
        """As the driver is told it; the bytes stand at `at` in the shared memory."""
        return {
            "id": self.number,
            "at": at,
            "length": len(self.data),
            "facts": self.facts.told(len(self.data)),
            "cuts": self.cuts if isinstance(self.cuts, int) else list(self.cuts),
            "trace": self.trace,
            "sample": self.sample,
            "measure": self.measure or "",
            "output": self.output,
            "reload": reload,
            "most_output": max(MOST_OUTPUT_FLOOR, MOST_OUTPUT_RATIO * len(self.data)),
        }


@dataclass(frozen=True)
class Outcome:
    """What came of a case. `told` is what the driver said; "hangs" and "died" are seen from outside."""

    kind: str
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def answer(self) -> tuple[Any, ...]:
        """All that must be the same for the same bytes."""
        told = self.told
        if self.kind == "failed":
            return ("failed", told.get("kind"))
        shared = (
            tuple(map(tuple, told.get("warnings", ()))),
            told.get("unchanged"),
            _frozen(told.get("becomes", {})),
        )
        if self.kind in ("refused", "incomplete"):
            return (self.kind, told.get("code"), told.get("message"), *shared[:1])
        if self.kind == "deferred":
            return (self.kind,)
        output = tuple(told.get("output", (0, "", ""))[:2])
        return (self.kind, _frozen(told.get("properties", {})), _frozen(told.get("proposed", {})), *shared, output)

    @property
    def verdict(self) -> tuple[Any, ...]:
        """Accepted or refused, and with which code."""
        return (self.kind, self.told.get("code"))

    @property
    def events(self) -> Sequence[str]:
        events: Sequence[str] = self.told.get("events", ())
        return events

    def has(self, event: str) -> str | None:
        """The event that begins so."""
        return next((one for one in self.events if one.partition(":")[0] == event), None)

    def describe(self) -> str:
        """For a person, on one line."""
        told = self.told
        warned = "".join(f", warning {code}" for code, _ in list(told.get("warnings", ()))[:3])
        more = len(told.get("warnings", ())) - 3
        warned += f" and {more} more" if more > 0 else ""
        if self.kind == "failed":
            return f"failed: {told.get('kind')}: {str(told.get('message'))[:160]}"
        if self.kind in ("refused", "incomplete"):
            return f"{self.kind} {told.get('code')}: {str(told.get('message'))[:160]}{warned}"
        if self.kind != "accepted":
            return self.kind
        properties = ", ".join(f"{key}={value!r:.60}" for key, value in list(told.get("properties", {}).items())[:8])
        proposed = ", ".join(f"{key}={value!r:.60}" for key, value in list(told.get("proposed", {}).items())[:8])
        text = "accepted" + (f" ({properties})" if properties else "") + (f", proposed {proposed}" if proposed else "")
        if told.get("unchanged"):
            text += ", unchanged"
        elif told.get("output", [0])[0]:
            text += f", {told['output'][0]} bytes made (sha256 {told['output'][1][:12]})"
        return text + warned


def _frozen(value: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted((key, type(item).__name__, repr(item)) for key, item in value.items()))


def cut_positions(cuts: Cuts, length: int) -> list[int]:
    """Where `cuts` cut an image of `length` bytes."""
    if isinstance(cuts, int):
        return list(range(cuts, length, cuts)) if cuts else []
    return [at for at in itertools.accumulate(cuts) if at < length]


def cuts_at(positions: Sequence[int]) -> tuple[int, ...]:
    """Lengths of chunks that end at `positions`."""
    ordered = sorted(set(positions))
    return tuple(end - start for start, end in zip([0, *ordered], ordered, strict=False) if end > start)
