"""What the suite says of a plugin."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .cases import Case, Outcome, cut_positions

HEX_SHOWN = 64
LONGEST_CHUNK = 1 << 20

MENDS = {
    "depends-on-cuts": "search with `for window in image.windows(size, overlap=len(pattern) - 1)`, or keep the end of "
    "each chunk and count positions from the beginning of the image; how long chunks are is not part of the contract",
    "keeps-chunks": "copy what you keep: `bytes(chunk[a:b])`; a chunk is valid until the next one is asked for",
    "reads-undeclared": "declare what you read: `reads = 'head:N'` with N bytes or more, `'stream'` or `'random'`; or "
    "read less",
    "fails-on-empty": "look whether anything came (`if not head:`) before you take it apart",
    "fails-on-short": "`image.read(n)` returns fewer bytes at the end of the image: compare `len(...)` with what you "
    "need, and raise Incomplete or return where there is less",
    "fails-on-declared": "name, size, disk_format, container_format and owner may be None, properties may be empty, "
    "and what is there is any text that the sender likes: ask before you use it, `image.properties.get(name)`",
    "fails-on-content": "an image holds any bytes: check what you take from it, and raise Reject or Incomplete with a "
    "sentence where it is not as expected",
    "hangs": "end at the end of the image: `image.read(n)` returns b'' there, for ever",
    "sleeps": "do not wait: an import waits with you. Where there is nothing to be had yet, raise Defer",
    "slow-growth": "look at each byte once: do not add to a bytes object chunk by chunk, do not search again from the "
    "beginning, and see that a regular expression cannot try the same text in many ways",
    "memory-growth": "keep numbers instead of bytes, use `image.windows(size, overlap)`, or read piece by piece; an "
    "image may have a hundred gigabytes",
    "bad-properties": "return at most 64 properties: keys of a-z 0-9 _ (64 letters), values str (4096 letters, no "
    "NUL), int of 64 bits, finite float or bool",
    "bad-answer": "Reject(code, message): a code is 1 to 64 of a-z 0-9 - _ . and the message a sentence",
    "says-nothing": "say to the tenant in a sentence what is wrong with the image and what to do; details are for "
    "self.log",
    "not-deterministic": "decide by the image alone: no random numbers, no clock, no order of a set, no id()",
    "keeps-state": "keep nothing in the class, in the module or in a default argument; begin anew in __init__ and "
    "inspect",
    "wrong-return": "return None or a mapping of properties to accept, raise Reject to refuse; in a transform yield "
    "bytes",
    "unchanged-misused": "say image.unchanged() and return, before the first yield and before 4 MiB have been read",
    "loses-bytes": "yield what is left when the image has ended, too",
    "short-image": "make sure that the end of what you unpack was seen, and raise Incomplete if it was not",
    "too-much-output": "end the generator when the image has ended",
    "swallows-errors": "catch only what you expect, by its name; never Reject, Incomplete or Defer, and do not take an "
    "error for an accept",
    "floods": "print and log a few lines an image, not some for each chunk; what is over 256 KiB is dropped",
    "fails-in-constructor": "the constructor sees no image: only take the configuration there; raise ValueError if it "
    "is wrong",
    "died": "nothing may end the process: no os._exit, no signal, no more memory than its bound",
    "too-many-warnings": "warn once for each kind of thing; 100 warnings an image are the most",
    "engine-differs": "see what the engine says: `douane check FILE --plugin SPEC`",
    "fails-as-program": "exit with 0 to accept, with 1 and a line on standard error to refuse",
}
"""Every code that a finding may have, and how to mend it."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with the plugin."""

    code: str
    what: str
    """A sentence."""

    image: dict[str, Any] = field(default_factory=dict)
    """The smallest input that shows it: size, hex, recipe, cuts, declared."""

    outcomes: tuple[str, ...] = ()
    trace: str = ""

    @property
    def mend(self) -> str:
        return MENDS[self.code]

    def to_json(self) -> dict[str, Any]:
        """As --json shows it."""
        return {
            "code": self.code,
            "what": self.what,
            "image": self.image,
            "outcomes": list(self.outcomes),
            "trace": self.trace,
            "mend": self.mend,
        }


@dataclass
class Report:
    """All that was found, and all that was done."""

    plugin: str
    use: str
    seed: int
    tier: str = ""
    findings: list[Finding] = field(default_factory=list)
    checks: dict[str, int] = field(default_factory=dict)
    """What was done, how often."""

    verdicts: Counter[str] = field(default_factory=Counter)
    """What the plugin did with the cases."""

    notes: list[str] = field(default_factory=list)
    cut_short: bool = False
    """It hangs or dies so often that nothing more was learned."""

    cages: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As --json shows it."""
        return {
            "outcome": "found" if self.findings else "nothing-found",
            "plugin": self.plugin,
            "use": self.use,
            "seed": self.seed,
            "sandbox": self.tier,
            "findings": [finding.to_json() for finding in self.findings],
            "checks": self.checks,
            "verdicts": dict(self.verdicts),
            "notes": self.notes,
            "cages": self.cages,
            "seconds": round(self.seconds, 3),
        }


def show_image(case: Case, recipe: str = "") -> dict[str, Any]:
    """The image of `case` for a person or a program."""
    data = case.data
    told: dict[str, Any] = {"size": len(data), "declared": case.facts.describe()}
    if len(data) <= HEX_SHOWN:
        told["hex"] = data.hex()
    else:
        told["recipe"] = recipe or describe_bytes(data)
    positions = cut_positions(case.cuts, len(data))
    if isinstance(case.cuts, int) and case.cuts and len(positions) > 8:
        told["cuts"] = f"chunks of {case.cuts} bytes"
    else:
        shown = ", ".join(map(str, positions[:24]))
        more = f" and {len(positions) - 24} more" if len(positions) > 24 else ""
        whole = "one chunk" if len(data) <= LONGEST_CHUNK else "chunks of 1 MiB"
        told["cuts"] = f"cut at {shown}{more}" if positions else whole
    return told


def describe_bytes(data: bytes) -> str:
    """Runs of one byte, and what stands between them in hexadecimal, bounded."""
    parts: list[str] = []
    at = 0
    while at < len(data) and len(parts) < 12:
        end = at + 1
        while end < len(data) and data[end] == data[at]:
            end = _run_end(data, at, end)
        if end - at >= 16:
            parts.append(f"{end - at} x {data[at]:02x}")
            at = end
            continue
        stop = at
        while stop < len(data) and data[stop : stop + 16] != data[stop : stop + 1] * 16:
            stop += 1
            if stop - at > 4 * HEX_SHOWN:
                break
        piece = data[at:stop]
        if len(piece) > HEX_SHOWN:
            parts.append(f"{piece[:HEX_SHOWN].hex()}...")
            if stop - at > 4 * HEX_SHOWN:
                parts.append(f"(in all {len(data)} bytes)")
                return ", ".join(parts)
        else:
            parts.append(piece.hex())
        at = stop
    if at < len(data):
        parts.append(f"... (in all {len(data)} bytes)")
    return ", ".join(parts)


def _run_end(data: bytes, at: int, end: int) -> int:
    """Where the run of `data[at]` that reaches to `end` ends, by doubling: runs have megabytes."""
    step = 1
    while data[end : end + step] == data[at : at + 1] * step and end + step <= len(data):
        end += step
        step *= 2
    while step > 1:
        step //= 2
        if end + step <= len(data) and data[end : end + step] == data[at : at + 1] * step:
            end += step
    return end


def show_two(first: Case, one: Outcome, second: Case, other: Outcome) -> tuple[str, ...]:
    """Two cases and what came of them."""
    return (
        f"{show_image(first)['cuts']}: {one.describe()}",
        f"{show_image(second)['cuts']}: {other.describe()}",
    )
