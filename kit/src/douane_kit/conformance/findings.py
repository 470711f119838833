"""The findings of the suite: a fault, the smallest image that shows it, and the remedy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from .cases import Case, cut_offsets

Check = Literal["outcome", "differ", "repeat", "time", "memory", "chatter", "same", "engine", "program"]
"""How a run on the same input shows whether the fault is still there; `again` has a function for each."""

HEX_BYTES = 64
MAX_PARTS = 12
LONGEST_CHUNK = 1 << 20

MENDS = {
    "depends-on-cuts": "search with `for window in image.windows(size, overlap=len(pattern) - 1)`, or keep the end of "
    "each chunk and count offsets from the start of the image; the length of chunks is not part of the contract",
    "keeps-chunks": "copy what you keep: `bytes(chunk[a:b])`; a chunk is valid until you ask for the next one",
    "reads-undeclared": "declare all that you read: `reads = 'head:N'` with N bytes or more, `'stream'` or `'random'`; "
    "or read less",
    "fails-always": "mend the first error, and run the suite again: nothing else could be checked. If the plugin needs "
    "a property, a finding or a certain image, give it one: --property, --findings, --image",
    "fails-on-empty": "check that there are bytes (`if not head:`) before you use them",
    "fails-on-short": "`image.read(n)` returns fewer bytes at the end of the image: compare `len(...)` with the bytes "
    "that you need, and raise Incomplete or return if there are fewer",
    "fails-on-declared": "name, size, disk_format, container_format and owner may be None, properties may be empty, "
    "and a declared value may be any text: check it before you use it, `image.properties.get(name)`",
    "fails-on-content": "an image holds any bytes: check the values that you take from it, and raise Reject or "
    "Incomplete with a sentence if one is invalid",
    "hangs": "end at the end of the image: from there on, `image.read(n)` returns b''",
    "sleeps": "do not wait: the import waits with you. If something is not available yet, raise Defer",
    "slow-growth": "read each byte once: do not add to a bytes object chunk by chunk, do not search from the start "
    "again, and avoid a regular expression that can match the same text in many ways",
    "memory-growth": "keep numbers instead of bytes, use `image.windows(size, overlap)`, or read piece by piece; an "
    "image may have a hundred gigabytes",
    "bad-properties": "return at most 64 properties: keys of a-z 0-9 _ (64 characters), values str (4096 characters, "
    "no NUL), int of 64 bits, finite float or bool",
    "bad-answer": "Reject(code, message): a code is 1 to 64 of a-z 0-9 - _ . and the message is a sentence",
    "says-nothing": "write a sentence for the tenant: what is wrong with the image, and what to do; put details into "
    "self.log",
    "not-deterministic": "decide by the image alone: no random numbers, no clock, no order of a set, no id()",
    "keeps-state": "keep nothing in the class, in the module or in a default argument; start afresh in __init__ and "
    "inspect",
    "wrong-return": "return None or a mapping of properties to accept, raise Reject to refuse; in a transform yield "
    "bytes",
    "unchanged-misused": "call image.unchanged() and return, before the first yield and before 4 MiB have been read",
    "loses-bytes": "at the end of the image, yield the bytes that you still hold",
    "short-image": "check that you have seen the end of the data that you unpack, and raise Incomplete otherwise",
    "too-much-output": "end the generator at the end of the image",
    "swallows-errors": "catch only the exceptions that you expect, by name; never Reject, Incomplete or Defer, and do "
    "not accept because of an error",
    "floods": "print and log a few lines an image, not some for each chunk; output above 256 KiB is dropped",
    "fails-in-constructor": "the constructor sees no image: only take the configuration there; raise ValueError if it "
    "is wrong",
    "died": "nothing may end the process: no os._exit, no signal, no more memory than its limit",
    "too-many-warnings": "warn once for each kind of thing; an image may get 100 warnings",
    "engine-differs": "run the image through the engine: `douane check FILE --plugin SPEC`",
    "fails-as-program": "exit with 0 to accept; to refuse, with a status of `refuse` and a line on standard error",
}
"""The remedy for each code of a finding."""


@dataclass(frozen=True)
class Finding:
    """A fault of the plugin.

    `what` is a sentence; `image` describes the smallest image that shows it (size, hex or recipe, cuts, declared);
    `outcomes` are the plugin's outcomes on it. `cases` returns the input, and `check` says how a run on that shows the
    fault.
    """

    code: str
    what: str
    image: dict[str, Any] = field(default_factory=dict)
    outcomes: tuple[str, ...] = ()
    trace: str = ""
    check: Check = "outcome"
    cases: Callable[[], tuple[Case, ...]] = tuple

    @property
    def mend(self) -> str:
        """The remedy."""
        return MENDS[self.code]

    def to_json(self) -> dict[str, Any]:
        """Return the finding for --json."""
        return {
            "code": self.code,
            "what": self.what,
            "image": self.image,
            "outcomes": list(self.outcomes),
            "trace": self.trace,
            "mend": self.mend,
        }


@dataclass(frozen=True)
class Warned:
    """What the author should know, although it is not a fault by itself."""

    code: str
    text: str

    def to_json(self) -> dict[str, str]:
        """Return the warning for --json."""
        return {"code": self.code, "what": self.text}


@dataclass
class Report:
    """The findings, and what was done: `checks` by name with their number, `verdicts` of the plugin on the images.

    `cut_short` is True if the plugin hung or died so often that the suite gave up. `processes` is the number of
    sandboxes that were started.
    """

    plugin: str
    use: str
    seed: int
    tier: str = ""
    findings: list[Finding] = field(default_factory=list)
    warnings: list[Warned] = field(default_factory=list)
    checks: dict[str, int] = field(default_factory=dict)
    verdicts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    cut_short: bool = False
    processes: int = 0
    seconds: float = 0.0

    def count(self, name: str, number: int) -> None:
        """Add to the number of a check."""
        self.checks[name] = self.checks.get(name, 0) + number

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def warn_of_one_answer(self, *, may_refuse: bool = True) -> None:
        """Warn if the code that refuses, or the code that accepts, was not checked.

        An image that is `incomplete` is not refused. `may_refuse` is False for a plugin without a refusal in its code.
        """
        number = self.verdicts.total()
        if not number:
            return
        how = "give an image, property or finding for that (--image, --property, --findings)"
        if may_refuse and not self.verdicts["refused"]:
            text = f"it refuses none of the {number} images that were tried, so its refusal was not checked; {how}"
            self.warnings.append(Warned("never-refuses", text))
        if self.verdicts["refused"] and not self.verdicts["accepted"]:
            text = (
                f"it refuses {self.verdicts['refused']} of {number} images and accepts none, so only its refusal was "
            )
            self.warnings.append(Warned("always-refuses", f"{text}checked; {how}"))

    def warn_of_unread(self, number: int) -> None:
        """Warn if the plugin has not asked for the unread parts of `number` images."""
        if number:
            text = (
                f"it did not ask for the parts that could not be read, and would have accepted {number} images with "
                "such parts; Douane answered `Incomplete` in its place. If the plugin is to decide itself, ask for "
                "`unread` at its end"
            )
            self.warnings.append(Warned("never-asks-unread", text))

    def to_json(self) -> dict[str, Any]:
        """Return the report for --json."""
        return {
            "outcome": "found" if self.findings else "nothing-found",
            "plugin": self.plugin,
            "use": self.use,
            "seed": self.seed,
            "sandbox": self.tier,
            "findings": [finding.to_json() for finding in self.findings],
            "checks": self.checks,
            "warnings": [warning.to_json() for warning in self.warnings],
            "verdicts": dict(self.verdicts),
            "notes": self.notes,
            "cages": self.processes,
            "seconds": round(self.seconds, 3),
        }


def show_image(case: Case, recipe: str = "") -> dict[str, Any]:
    """Return the image of `case` for a person or a program; `recipe` replaces the description of a long one."""
    data = case.data
    image: dict[str, Any] = {"size": len(data), "declared": case.facts.describe()}
    if len(data) <= HEX_BYTES:
        image["hex"] = data.hex()
    else:
        image["recipe"] = recipe or describe_bytes(data)
    offsets = list(cut_offsets(case.cuts, len(data)))
    if isinstance(case.cuts, int) and len(offsets) > 8:
        image["cuts"] = f"chunks of {case.cuts} bytes"
    elif offsets:
        more = f" and {len(offsets) - 24} more" if len(offsets) > 24 else ""
        image["cuts"] = f"cut at {', '.join(map(str, offsets[:24]))}{more}"
    else:
        image["cuts"] = "one chunk" if len(data) <= LONGEST_CHUNK else "chunks of 1 MiB"
    return image


def describe_bytes(data: bytes) -> str:
    """Return `data` as text: runs of one byte by their length, and the bytes between them in hexadecimal, bounded."""
    parts: list[str] = []
    end = 0
    for run in re.finditer(rb"(.)\1{15,}", data, re.DOTALL):
        parts += _hex(data[end : run.start()])
        parts.append(f"{len(run[0])} x {run[1].hex()}")
        end = run.end()
        if len(parts) >= MAX_PARTS:
            break
    if len(parts) < MAX_PARTS:
        parts += _hex(data[end:])
        end = len(data)
    is_complete = end == len(data) and not any(part.endswith("...") for part in parts)
    return ", ".join(parts) + ("" if is_complete else f" (in all {len(data)} bytes)")


def _hex(data: bytes) -> list[str]:
    if not data:
        return []
    return [data.hex() if len(data) <= HEX_BYTES else f"{data[:HEX_BYTES].hex()}..."]
