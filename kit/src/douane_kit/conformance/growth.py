"""Time and memory as the image grows: counted where they can be, measured with wide margins where they cannot."""

from __future__ import annotations

import gzip
import io
import itertools
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .cases import USUAL, Case, Facts, Outcome
from .cutting import long_filler
from .dictionary import Dictionary
from .driver_process import Runner
from .findings import Finding, show_image
from .subject import Described

KiB, MiB = 1 << 10, 1 << 20
CHUNK = 64 * KiB
LINES_AT = 8 * KiB
STEEPER = 3.2
"""What doubles with the image takes 2 times as long, what goes with its square 4 times."""

FEWEST_LINES = 300
SURE_SECONDS = 0.3
CLOCK_SECONDS = 16.0
MEMORY_SECONDS = 16.0
CASE_SECONDS = 20.0
MEASURED_SECONDS = 25.0
BOUNDED = 40 * MiB
"""A buffer of 32 MiB is a bounded one, and something beside it."""

SHARE = 64
"""More than a 64th of the image is growth."""

CHATTER_CHUNKS = 4096
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"\x78", b"\x5d\0\0", b"\x04\x22\x4d\x18")
"""How compressed files begin: gzip, bzip2, xz, zstd, zlib, lzma, lz4."""


Look = Callable[[Sequence[tuple[Case, Outcome]]], None]
"""Is shown each case and what came of it."""


@dataclass(frozen=True)
class Family:
    """Images of one kind, of any size."""

    name: str
    make: Callable[[int], bytes]
    facts: Facts = USUAL
    dear: bool = False
    """Making it takes long."""

    dense: bool = False
    """Full of what the plugin looks for."""


class Growth:
    """See the module."""

    def __init__(
        self, runner: Runner, described: Described, words: Dictionary, seed: int, look: Look, effort: float
    ) -> None:
        self._effort = effort
        self._runner = runner
        self._described = described
        self._words = words
        self._seed = seed
        self.ran = 0
        self.notes: list[str] = []
        self.largest = 0
        self._look = look
        self.memory = 512 * MiB

    def check(self, kept: Sequence[tuple[Case, Outcome]]) -> list[Finding]:
        """At most one finding for time, one for memory, one for chatter."""
        if not self._described.reads_bytes:
            return []
        families = list(self._families(kept))
        slow = self._lines(families) or self._clock(families)
        if slow is not None:
            self.notes.append("memory was not measured: the plugin is too slow for large images")
        found = [slow, None if slow is not None else self._memory(families), self._chatter(families[0])]
        return [finding for finding in found if finding is not None]

    def _families(self, kept: Sequence[tuple[Case, Outcome]]) -> Iterator[Family]:
        seed = self._seed
        yield Family("bytes without a pattern", lambda size: long_filler(size, seed))
        yield Family("zeros", bytes)
        for name, filled in (("gzip", _gzip), ("tar", _tar), ("zip", _zip)):
            if self._described.transforms or self._knows(name):
                yield Family(f"a {name} file", lambda size, filled=filled: filled(size, seed), dear=True)  # type: ignore[misc]  # a default binds the loop's name
        deep = [
            (case, outcome)
            for case, outcome in kept
            if outcome.kind == "accepted"
            and case.data
            and len(case.data) <= CHUNK
            # Libraries keep what follows a compressed file (zlib's unused_data): that is no fault of the plugin's.
            and not case.data.startswith(COMPRESSED)
        ]
        deep.sort(key=lambda pair: -int(pair[1].told.get("arc_count", 0)))
        for case, _ in deep[:3]:
            yield Family(
                f"{case.data[:16].hex()}... and bytes without a pattern",
                lambda size, case=case: (case.data + long_filler(size, seed))[:size],  # type: ignore[misc]  # as above
                case.facts,
            )
        for value, name in (
            (b" ", "spaces"),
            (b"a", "letters a"),
            (b"0", "digits 0"),
            (b"\n", "line ends"),
            (b"\xff", "ff"),
        ):
            yield Family(name, _repeated(value))
        yield Family("text", _repeated(b"The quick brown fox, 0123456789 jumps.\n"))
        for token in dict.fromkeys([*self._words.patterns[:6], *self._words.tokens[:8]]):
            yield Family(f"{token[:24]!r}, repeated", _repeated(token), dense=True)
            if len(token) > 1:
                yield Family(f"{token[:-1][:24]!r}, repeated", _repeated(token[:-1]))
                yield Family(f"{token[:1]!r}, repeated", _repeated(token[:1]))

    def _knows(self, name: str) -> bool:
        marks = {"gzip": b"\x1f\x8b", "tar": b"ustar", "zip": b"PK\x03\x04"}
        words = " ".join(self._words.words).lower()
        return name in words or any(marks[name][:2] in token for token in self._words.tokens)

    def _sizes(self, *sizes: int) -> list[int]:
        head = self._described.head
        return [size for size in sizes if head is None or size <= head]

    def _run(
        self, family: Family, size: int, *, cuts: int = CHUNK, seconds: float = CASE_SECONDS, **more: object
    ) -> Outcome:
        case = Case(family.make(size), cuts, family.facts, **more)  # type: ignore[arg-type]  # trace, measure
        self.ran += 1
        self.largest = max(self.largest, size)
        outcome = self._runner.one(case, seconds=seconds)
        if not (case.measure and outcome.kind == "died"):  # of want of memory, as tracing takes some, too
            self._look([(case, outcome)])
        return outcome

    # time

    def _lines(self, families: Sequence[Family]) -> Finding | None:
        until = time.monotonic() + 6.0
        for family in families:
            if family.dear:
                continue
            if time.monotonic() > until:
                return None
            counts: list[int] = []
            for size in self._sizes(*(LINES_AT << number for number in range(5))):
                outcome = self._run(family, size, cuts=2 * KiB, trace=True)
                if outcome.kind == "hangs":
                    return self._slow(family, size, 2 * KiB, f"no answer within {CASE_SECONDS:g} s", outcome)
                counts.append(int(outcome.told.get("lines", 0)))
                if len(counts) > 2 and counts[-1] - counts[-2] < STEEPER * (counts[-2] - counts[-3]):
                    break
            steps = [later - earlier for earlier, later in itertools.pairwise(counts)]
            steep = all(later >= STEEPER * earlier for earlier, later in itertools.pairwise(steps))
            if len(steps) == 4 and steps[0] >= 10 and steps[-1] >= FEWEST_LINES and steep:
                told = ", ".join(f"{count} for {LINES_AT << n} bytes" for n, count in enumerate(counts))
                return self._slow(family, LINES_AT << 4, 2 * KiB, f"lines of the plugin that ran: {told}", outcome)
        return None

    def _clock(self, families: Sequence[Family]) -> Finding | None:
        until = time.monotonic() + CLOCK_SECONDS * self._effort
        for number, family in enumerate(families):
            if time.monotonic() > until:
                self.notes.append(f"time was measured for {number} of {len(families)} kinds of images")
                return None
            if found := self._one_clock(family, 64 * MiB if number == 0 else 4 * MiB, until):
                return found
        return None

    def _one_clock(self, family: Family, largest: int, until: float) -> Finding | None:
        seconds: dict[int, float] = {}
        size = 16 * KiB
        while size <= largest and self._sizes(size):
            outcome = self._run(family, size)
            if outcome.kind == "hangs":
                before = seconds.get(size // 2, 0.0)
                if before * STEEPER * 2 < CASE_SECONDS and self._run(family, size).kind == "hangs":
                    what = f"{before:.3g} s for {size // 2} bytes, no answer within {CASE_SECONDS:g} s for {size} bytes"
                    return self._slow(family, size, CHUNK, what, outcome)
                return None
            if outcome.kind == "died" or (size >= MiB and outcome.told.get("seen", 0) < size // 2 and not self._random):
                return None
            seconds[size] = float(outcome.told.get("cpu", 0.0))
            if seconds[size] > SURE_SECONDS:
                for smaller in (size // 2, size // 4):
                    if smaller not in seconds:
                        seconds[smaller] = float(self._run(family, smaller).told.get("cpu", 9.0))
                steep = seconds[size] > STEEPER * seconds[size // 2] > STEEPER * 2.5 * seconds[size // 4]
                return self._confirmed(family, size, seconds) if steep else None
            if time.monotonic() > until:
                return None
            size *= 2 if size < MiB or seconds[size] > 0.01 else 4
        return None

    @property
    def _random(self) -> bool:
        return self._described.reads == "random"

    def _confirmed(self, family: Family, size: int, seconds: dict[int, float]) -> Finding | None:
        """Measured again, in a new process, the least of three each; and larger ones while that can be waited for."""
        self._runner.fresh()
        sizes = [size // 4, size // 2, size]
        while sizes[-1] < 128 * MiB and seconds[size] * 4 ** (len(sizes) - 2) < CASE_SECONDS / 2:
            if not self._sizes(sizes[-1] * 2):
                break
            sizes.append(sizes[-1] * 2)
        least: list[float] = []
        for each in sizes:
            times = []
            for _ in range(3 if each <= size else 1):
                outcome = self._run(family, each)
                if outcome.kind not in {"accepted", "refused", "incomplete"}:
                    break
                times.append(float(outcome.told["cpu"]))
            if not times:
                break
            least.append(min(times))
        ratios = [later / max(earlier, 1e-6) for earlier, later in itertools.pairwise(least)]
        if len(ratios) < 2 or min(ratios[-2:]) < 3.0:
            return None
        told = ", ".join(f"{taken:.3g} s for {each} bytes" for each, taken in zip(sizes, least, strict=False))
        return self._slow(family, sizes[-1], CHUNK, f"processor time: {told}", outcome)

    def _slow(self, family: Family, size: int, cuts: int, what: str, outcome: Outcome) -> Finding:
        case = Case(b"", cuts, family.facts)
        image = {
            **show_image(case),
            "size": size,
            "recipe": f"{size} bytes: {family.name}",
            "cuts": f"chunks of {cuts}",
        }
        image.pop("hex", None)
        return Finding("slow-growth", f"its time grows faster than the image ({what})", image, (outcome.describe(),))

    # memory

    def _memory(self, families: Sequence[Family]) -> Finding | None:
        until = time.monotonic() + MEMORY_SECONDS * self._effort
        first = [family for family in families if family.dear] + list(families[:2])
        dense = [family for family in families if family.dense][:8]
        rest = [family for family in families[2:] if not family.dear and not family.dense]
        for family in dict.fromkeys([*first, *rest[:3], *dense, *rest[3:6]]):
            if time.monotonic() > until:
                return None
            if found := self._one_memory(family, until):
                return found
        return None

    def _one_memory(self, family: Family, until: float) -> Finding | None:
        probe = self._run(family, self._sizes(256 * KiB, 1)[0], measure="memory")
        if probe.kind in ("hangs", "died") or "cpu" not in probe.told:
            return None
        a_byte = float(probe.told["cpu"]) / (256 * KiB)
        # Four sizes of the first round together take about 6 times the second.
        small = 2 * MiB
        while small > 128 * KiB and a_byte * small * 6 > 4.0:
            small //= 2
        peaks = self._peaks(family, (small, 4 * small))
        if peaks is None or peaks[1] - peaks[0] < max(256 * KiB, 3 * small // SHARE):
            return None
        sizes = (96 * MiB, 192 * MiB)
        if a_byte * sum(sizes) > 14.0:
            sizes = (8 * small, 16 * small)
        more = self._peaks(family, sizes)
        if more is None:
            return None
        grown = more[1] - more[0]
        if grown < (sizes[1] - sizes[0]) // SHARE or (sizes[0] < 96 * MiB and more[1] < BOUNDED):
            if sizes[0] < 96 * MiB:
                self.notes.append("memory could be measured for small images only: the plugin is slow")
            return None
        told = f"{more[0] >> 10} KiB for {sizes[0] >> 20} MiB, {more[1] >> 10} KiB for {sizes[1] >> 20} MiB"
        case = Case(b"", CHUNK, family.facts)
        image = {
            **show_image(case),
            "size": sizes[1],
            "recipe": f"{sizes[1]} bytes: {family.name}",
            "cuts": f"chunks of {CHUNK}",
        }
        image.pop("hex", None)
        return Finding("memory-growth", f"its memory grows with the image: {told}", image)

    def _peaks(self, family: Family, sizes: Sequence[int]) -> tuple[int, int] | None:
        peaks = []
        for size in self._sizes(*sizes):
            outcome = self._run(family, size, measure="memory", seconds=MEASURED_SECONDS)
            if outcome.kind == "died" or (outcome.kind == "failed" and outcome.told.get("kind") == "MemoryError"):
                peaks.append(self.memory)
                continue
            if "peak" not in outcome.told:
                return None
            peaks.append(int(outcome.told["peak"]))
        return (peaks[0], peaks[1]) if len(peaks) == 2 else None

    # chatter

    def _chatter(self, family: Family) -> Finding | None:
        size = CHATTER_CHUNKS * 256
        if not self._sizes(size):
            return None
        outcome = self._run(family, size, cuts=256)
        amount = int(outcome.told.get("printed", 0)) + int(outcome.told.get("logged", 0))
        taken = int(outcome.told.get("taken", 0))
        if taken < 1000 or amount < 8 * taken:
            return None
        image = {"size": size, "recipe": f"{size} bytes: {family.name}", "cuts": "chunks of 256 bytes"}
        what = f"it prints and logs {amount} bytes for an image of {taken} chunks: some for each"
        return Finding("floods", what, image, (outcome.describe(),))


def _repeated(value: bytes) -> Callable[[int], bytes]:
    return lambda size: (value * (size // len(value) + 1))[:size]


def _gzip(size: int, seed: int) -> bytes:
    return gzip.compress(long_filler(size, seed), 0, mtime=0)


def _tar(size: int, seed: int) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo("disk.img")
        member.size = size
        archive.addfile(member, io.BytesIO(long_filler(size, seed)))
    return held.getvalue()


def _zip(size: int, seed: int) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(zipfile.ZipInfo("disk.img"), long_filler(size, seed))
    return held.getvalue()
