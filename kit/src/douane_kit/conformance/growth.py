"""Measure how processor time, memory and chatter grow with the image: time in proportion, memory not at all."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .cases import Case, Facts, Outcome, Trial
from .findings import Finding, show_image
from .images import long_filler, tar_archive, zip_archive
from .runner import Runner
from .subject import Subject
from .words import Words

KiB, MiB = 1 << 10, 1 << 20
CHUNK_BYTES = 64 * KiB
STEEP = 3.2
"""Time that is in proportion to the image doubles with it; time that goes with its square takes 4 times as long."""

SURE_SECONDS = 0.3
CLOCK_SECONDS = 16.0
MEMORY_SECONDS = 16.0
CASE_SECONDS = 20.0
MEASURED_SECONDS = 25.0
BOUNDED_BYTES = 40 * MiB
"""A buffer of 32 MiB, and some more memory, does not grow."""

SHARE = 64
"""Memory that grows by more than a 64th of the image grows with it."""

OUT_OF_MEMORY = 512 * MiB
"""Counts as the peak of a plugin that ran out of memory."""

CHATTER_CHUNKS = 4096
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"\x78", b"\x5d\0\0", b"\x04\x22\x4d\x18")
"""The first bytes of gzip, bzip2, xz, zstd, zlib, lzma and lz4 files."""


@dataclass(frozen=True)
class Family:
    """Images of one kind and any size, with the usual facts if `facts` is None.

    `is_slow` to make; `is_dense` with matches of what the plugin searches for.
    """

    name: str
    make: Callable[[int], bytes]
    facts: Facts | None = None
    is_slow: bool = False
    is_dense: bool = False


class Growth:
    """Runs the plugin on larger and larger images of several families; `judge_all` is passed each outcome."""

    def __init__(
        self,
        runner: Runner,
        subject: Subject,
        words: Words,
        seed: int,
        judge_all: Callable[[Sequence[Trial]], None],
        effort: float,
    ) -> None:
        self._runner = runner
        self._subject = subject
        self._words = words
        self._seed = seed
        self._judge_all = judge_all
        self._effort = effort
        self.count = 0
        self.largest = 0
        self.notes: list[str] = []

    def check(self, corpus: Sequence[Trial]) -> list[Finding]:
        """Return at most one finding for time, one for memory and one for chatter."""
        families = list(self._families(corpus))
        slow = self._time(families)
        if slow is not None:
            self.notes.append("memory was not measured: the plugin is too slow for large images")
        findings = [slow, None if slow is not None else self._memory(families), self._chatter(families[0])]
        return [finding for finding in findings if finding is not None]

    def _families(self, corpus: Sequence[Trial]) -> Iterator[Family]:
        seed = self._seed
        yield Family("bytes without a pattern", lambda size: long_filler(size, seed))
        yield Family("zeros", bytes)
        if self._subject.described.is_transform or self._knows(b"\x1f\x8b", "gzip"):
            yield Family("a gzip file", lambda size: gzip.compress(long_filler(size, seed), 0, mtime=0), is_slow=True)
        if self._subject.described.is_transform or self._knows(b"ustar", "tar"):
            yield Family("a tar file", lambda size: tar_archive({"disk.img": long_filler(size, seed)}), is_slow=True)
        if self._subject.described.is_transform or self._knows(b"PK\x03\x04", "zip"):
            yield Family("a zip file", lambda size: zip_archive({"disk.img": long_filler(size, seed)}), is_slow=True)
        for case in self._deep(corpus):
            start = case.data
            yield Family(
                f"{start[:16].hex()}... and bytes without a pattern",
                lambda size, start=start: (start + long_filler(size, seed))[:size],  # type: ignore[misc]  # binds the loop's value
                case.facts,
            )
        repeated = {"spaces": b" ", "letters a": b"a", "digits 0": b"0", "line ends": b"\n", "ff": b"\xff"}
        repeated["text"] = b"The quick brown fox, 0123456789 jumps.\n"
        for name, piece in repeated.items():
            yield Family(name, _repeat(piece))
        for token in dict.fromkeys([*self._words.patterns[:6], *self._words.tokens[:8]]):
            yield Family(f"{token[:24]!r}, repeated", _repeat(token), is_dense=True)
            if len(token) > 1:
                yield Family(f"{token[:-1][:24]!r}, repeated", _repeat(token[:-1]))
                yield Family(f"{token[:1]!r}, repeated", _repeat(token[:1]))

    def _deep(self, corpus: Sequence[Trial]) -> list[Case]:
        """Return short images that the plugin accepts after it has read far, to be made longer."""
        cases = [
            (case, outcome)
            for case, outcome in corpus
            if outcome.kind == "accepted"
            and 0 < len(case.data) <= CHUNK_BYTES
            # Libraries keep the bytes after a compressed file (unused_data of zlib), which is not the plugin's fault.
            and not case.data.startswith(COMPRESSED)
        ]
        cases.sort(key=lambda pair: -len(pair[1].properties))
        return [case for case, _ in cases[:3]]

    def _knows(self, magic: bytes, name: str) -> bool:
        return any(name in text.lower() for text in self._words.texts) or any(
            magic[:2] in token for token in self._words.tokens
        )

    def _facts(self, family: Family) -> Facts:
        return family.facts or self._runner.usual

    def _fitting(self, *sizes: int) -> list[int]:
        head = self._subject.head
        return [size for size in sizes if head is None or size <= head]

    def _run(
        self,
        family: Family,
        size: int,
        *,
        cuts: int = CHUNK_BYTES,
        seconds: float = CASE_SECONDS,
        measure_memory: bool = False,
    ) -> Outcome:
        case = Case(family.make(size), cuts, self._facts(family), measure_memory=measure_memory)
        self.count += 1
        self.largest = max(self.largest, size)
        outcome = self._runner.run_one(case, seconds=seconds)
        if not (measure_memory and outcome.kind == "died"):  # of want of memory, as tracing takes some, too
            self._judge_all([(case, outcome)])
        return outcome

    # time

    def _time(self, families: Sequence[Family]) -> Finding | None:
        until = self._runner.spent + CLOCK_SECONDS * self._effort
        for index, family in enumerate(families):
            if self._runner.spent > until:
                self.notes.append(f"time was measured for {index} of {len(families)} kinds of images")
                return None
            if finding := self._time_of(family, 64 * MiB if index == 0 else 4 * MiB, until):
                return finding
        return None

    def _time_of(self, family: Family, largest: int, until: float) -> Finding | None:
        seconds: dict[int, float] = {}
        size = 16 * KiB
        while size <= largest and self._fitting(size) and self._runner.spent < until:
            outcome = self._run(family, size)
            if outcome.kind == "hangs":
                return self._hanging(family, size, seconds.get(size // 2, 0.0), outcome)
            reads_on = outcome.bytes_seen >= size // 2 or self._subject.described.reads == "random"
            if outcome.kind == "died" or (size >= MiB and not reads_on):
                return None
            seconds[size] = outcome.cpu
            if seconds[size] > SURE_SECONDS:
                for smaller in (size // 2, size // 4):
                    if smaller not in seconds:
                        seconds[smaller] = self._run(family, smaller).cpu
                is_steep = seconds[size] > STEEP * seconds[size // 2] > STEEP * 2.5 * seconds[size // 4]
                return self._confirmed(family, size, seconds[size]) if is_steep else None
            size *= 2 if size < MiB or seconds[size] > 0.01 else 4
        return None

    def _hanging(self, family: Family, size: int, half_seconds: float, outcome: Outcome) -> Finding | None:
        if half_seconds * STEEP * 2 >= CASE_SECONDS or self._run(family, size).kind != "hangs":
            return None
        text = f"{half_seconds:.3g} s for {size // 2} bytes, no answer within {CASE_SECONDS:g} s for {size} bytes"
        return self._slow(family, size, text, outcome)

    def _confirmed(self, family: Family, size: int, seconds: float) -> Finding | None:
        """Measure again in a new process: the least of three runs for each size, and larger sizes once."""
        self._runner.restart()
        sizes = [size // 4, size // 2, size]
        while sizes[-1] < 128 * MiB and seconds * 4 ** (len(sizes) - 2) < CASE_SECONDS / 2:
            if not self._fitting(sizes[-1] * 2):
                break
            sizes.append(sizes[-1] * 2)
        fastest: list[float] = []
        for measured in sizes:
            runs = [self._run(family, measured) for _ in range(3 if measured <= size else 1)]
            answered = [run.cpu for run in runs if run.kind in ("accepted", "refused", "incomplete")]
            if not answered:
                break
            fastest.append(min(answered))
        ratios = [larger / max(smaller, 1e-6) for smaller, larger in itertools.pairwise(fastest)]
        if len(ratios) < 2 or min(ratios[-2:]) < 3.0:
            return None
        times = ", ".join(f"{cpu:.3g} s for {measured} bytes" for measured, cpu in zip(sizes, fastest, strict=False))
        return self._slow(family, sizes[-1], f"processor time: {times}", runs[-1])

    def _slow(self, family: Family, size: int, text: str, outcome: Outcome) -> Finding:
        text = f"its time grows faster than the image ({text})"
        return Finding("slow-growth", text, _image(family, self._facts(family), size), (outcome.describe(),))

    # memory

    def _memory(self, families: Sequence[Family]) -> Finding | None:
        until = self._runner.spent + MEMORY_SECONDS * self._effort
        slow = [family for family in families if family.is_slow]
        dense = [family for family in families if family.is_dense][:8]
        rest = [family for family in families[2:] if not family.is_slow and not family.is_dense]
        for family in (*slow, *families[:2], *rest[:3], *dense, *rest[3:6]):
            if self._runner.spent > until:
                return None
            if finding := self._memory_of(family):
                return finding
        return None

    def _memory_of(self, family: Family) -> Finding | None:
        probe = self._run(family, self._fitting(256 * KiB, 1)[0], measure_memory=True)
        if probe.is_gone:
            return None
        seconds_a_byte = probe.cpu / (256 * KiB)
        small = 2 * MiB
        while small > 128 * KiB and seconds_a_byte * small * 6 > 4.0:
            small //= 2
        peaks = self._peaks(family, (small, 4 * small))
        if peaks is None or peaks[1] - peaks[0] < max(256 * KiB, 3 * small // SHARE):
            return None
        sizes = (96 * MiB, 192 * MiB) if seconds_a_byte * 288 * MiB <= 14.0 else (8 * small, 16 * small)
        peaks = self._peaks(family, sizes)
        if peaks is None:
            return None
        if peaks[1] - peaks[0] < (sizes[1] - sizes[0]) // SHARE or (sizes[0] < 96 * MiB and peaks[1] < BOUNDED_BYTES):
            if sizes[0] < 96 * MiB:
                self.notes.append("memory could be measured for small images only: the plugin is slow")
            return None
        pairs = [f"{peak >> 10} KiB for {size >> 20} MiB" for size, peak in zip(sizes, peaks, strict=True)]
        text = f"its memory grows with the image: {', '.join(pairs)}"
        return Finding("memory-growth", text, _image(family, self._facts(family), sizes[1]))

    def _peaks(self, family: Family, sizes: Sequence[int]) -> tuple[int, int] | None:
        peaks = []
        for size in self._fitting(*sizes):
            outcome = self._run(family, size, measure_memory=True, seconds=MEASURED_SECONDS)
            if outcome.kind == "died" or outcome.error == "MemoryError":
                peaks.append(OUT_OF_MEMORY)
            elif outcome.kind == "hangs":
                return None
            else:
                peaks.append(outcome.peak)
        return (peaks[0], peaks[1]) if len(peaks) == 2 else None

    # chatter

    def _chatter(self, family: Family) -> Finding | None:
        size = CHATTER_CHUNKS * 256
        if not self._fitting(size):
            return None
        outcome = self._run(family, size, cuts=256)
        amount = outcome.printed + outcome.logged
        if outcome.chunks < 1000 or amount < 8 * outcome.chunks:
            return None
        text = f"it prints and logs {amount} bytes for an image of {outcome.chunks} chunks, so some for each chunk"
        return Finding(
            "floods",
            text,
            {**_image(family, self._facts(family), size), "cuts": "chunks of 256 bytes"},
            (outcome.describe(),),
        )


def _image(family: Family, facts: Facts, size: int) -> dict[str, object]:
    image = show_image(Case(b"", facts=facts))
    del image["hex"]
    return {**image, "size": size, "recipe": f"{size} bytes: {family.name}", "cuts": f"chunks of {CHUNK_BYTES} bytes"}


def _repeat(piece: bytes) -> Callable[[int], bytes]:
    return lambda size: (piece * (size // len(piece) + 1))[:size]
