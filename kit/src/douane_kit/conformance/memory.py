"""Measure how memory grows with the image: Python's objects exactly, all other private memory from outside.

tracemalloc counts what Python allocates. What a library allocates, or a plugin maps, shows only in the memory of the
process, which the engine bounds: private pages, without those of the ring and of mapped files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .cases import Outcome
from .families import Family
from .findings import Finding
from .measurement import KiB, Measurement, MiB

MEMORY_SECONDS = 16.0
MEASURED_SECONDS = 25.0
BOUNDED_BYTES = 40 * MiB
"""A buffer of 32 MiB, and some more memory, does not grow."""

OUT_OF_MEMORY = 512 * MiB
"""Counts as the peak of a plugin that ran out of memory."""


class Kind(NamedTuple):
    """A kind of memory. More than a `share`-th of the image is growth; less than `noise` bytes are not worth a look."""

    what: str
    share: int
    noise: int


KINDS = (
    Kind("its memory grows with the image", 64, 256 * KiB),
    # An allocator keeps pages and gives them back when it likes, and the kernel counts in batches.
    Kind("its memory outside of Python's objects (mmap, a library) grows with the image", 16, 1536 * KiB),
)

Peaks = tuple[int, ...]
"""The largest amount for each of `KINDS`."""


class Memory:
    """Compares the memory for images of two sizes."""

    def __init__(self, measure: Measurement, effort: float) -> None:
        self._measure = measure
        self._effort = effort

    def check(self, families: Sequence[Family]) -> Finding | None:
        """Return the first finding, or None."""
        runner = self._measure.runner
        until = runner.spent + MEMORY_SECONDS * self._effort
        slow = [family for family in families if family.is_slow]
        dense = [family for family in families if family.is_dense][:8]
        rest = [family for family in families[2:] if not family.is_slow and not family.is_dense]
        runner.restart()  # memory that earlier images have left would hide what a small image takes
        for family in (*slow, *families[:2], *rest[:3], *dense, *rest[3:6]):
            if runner.spent > until:
                return None
            if finding := self._of_family(family):
                return finding
        return None

    def _of_family(self, family: Family) -> Finding | None:
        probe = self._measure.run(family, self._measure.fitting(256 * KiB, 1)[0], measure_memory=True)
        if probe.is_gone:
            return None
        seconds_a_byte = probe.cpu / (256 * KiB)
        small = 2 * MiB
        while small > 128 * KiB and seconds_a_byte * small * 6 > 4.0:
            small //= 2
        peaks = self._peaks(family, (small, 4 * small))
        if peaks is None:
            return None
        kinds = [
            index
            for index, kind in enumerate(KINDS)
            if peaks[1][index] - peaks[0][index] >= max(kind.noise, 3 * small // kind.share)
        ]
        return self._confirmed(family, small, seconds_a_byte, kinds) if kinds else None

    def _confirmed(self, family: Family, small: int, seconds_a_byte: float, kinds: list[int]) -> Finding | None:
        """Measure larger images; `kinds` are indices of those of `KINDS` that grew."""
        sizes = (96 * MiB, 192 * MiB) if seconds_a_byte * 288 * MiB <= 14.0 else (8 * small, 16 * small)
        peaks = self._peaks(family, sizes, alone=True)
        if peaks is None:
            return None
        for index in kinds:
            smaller, larger = peaks[0][index], peaks[1][index]
            is_small = sizes[0] < 96 * MiB and larger < BOUNDED_BYTES
            if larger - smaller < (sizes[1] - sizes[0]) // KINDS[index].share or is_small:
                continue
            pairs = [f"{peak[index] >> 10} KiB for {size >> 20} MiB" for size, peak in zip(sizes, peaks, strict=True)]
            text = f"{KINDS[index].what}: {', '.join(pairs)}"
            cases = self._measure.cases_of(family, sizes[1])
            return Finding("memory-growth", text, self._measure.image(family, sizes[1]), (), "", "memory", cases)
        if sizes[0] < 96 * MiB:
            self._measure.notes.append("memory could be measured for small images only: the plugin is slow")
        return None

    def _peaks(self, family: Family, sizes: Sequence[int], *, alone: bool = False) -> tuple[Peaks, Peaks] | None:
        """Measure two sizes, with `alone` each in a process that has seen a small image only: what an image leaves
        behind is not growth with the image.
        """
        peaks: list[Peaks] = []
        for size in self._measure.fitting(*sizes):
            if alone:
                self._measure.runner.restart()
                self._measure.run(family, self._measure.fitting(256 * KiB, 1)[0], measure_memory=True)
            outcome = self._measure.run(family, size, measure_memory=True, seconds=MEASURED_SECONDS)
            if outcome.kind == "hangs":
                return None
            peaks.append(peaks_of(outcome))
        return (peaks[0], peaks[1]) if len(peaks) == 2 else None


def peaks_of(outcome: Outcome) -> Peaks:
    """Return the largest amounts of memory of a case that was measured."""
    if outcome.kind == "died" or outcome.error == "MemoryError":
        return (OUT_OF_MEMORY, OUT_OF_MEMORY)
    return (outcome.peak, outcome.resident)
