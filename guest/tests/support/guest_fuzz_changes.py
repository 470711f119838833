"""Mutants of guests' disks: the n-th mutant of a seed is the same on every machine and in every run.

Changed are bytes that a walk reads; those that it reads without the contents of files more often. Files' contents are
read in pieces, trees of extents in small ones: a piece is chosen first, a byte of it second.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from guest_fuzz_images import Image, Recorded
from guest_fuzz_reading import read_all
from guest_fuzz_repair import repair

MAX_WRITTEN = 4096
INTERESTING = (
    *(0, 1, 2, 3, 4, 7, 8, 9, 10, 15, 16, 31, 32, 64, 127, 128, 255, 256, 511, 512, 1023, 1024, 4095, 4096),
    *(1 << power for power in (13, 15, 16, 20, 21, 24, 31, 32, 40, 52, 60, 62, 63)),
    *((1 << power) - 1 for power in (15, 16, 20, 31, 32, 40, 52, 63, 64)),
    *((1 << 32) - 512, (1 << 63) - 512, (1 << 64) - 2, (1 << 64) - 512),
)
WEIGHTS = {"md-": 0.15, "xfs-log": 0.3}
"""Of seeds by the begin of their names: there are 35 of md, and the logs of XFS take ten times as long as others."""
COUNTS = (1, 1, 1, 2, 2, 3, 4, 8, 16)


class Mutant(NamedTuple):
    """A disk, and how it came about."""

    number: int
    image: Image
    seed: str
    story: str


class Ranges(NamedTuple):
    """What a walk reads of a seed."""

    metadata: Sequence[tuple[int, int]]
    contents: Sequence[tuple[int, int]]


class Mutator:
    """Makes mutants of seeds."""

    def __init__(self, seeds: Mapping[str, Image], seed: int) -> None:
        self._names = sorted(seeds)
        self._seeds = seeds
        self._seed = seed
        self._weights = [_weight(name) for name in self._names]
        self._ranges: dict[str, Ranges] = {}

    def make(self, number: int) -> Mutant:
        """The mutant `number`."""
        chance = random.Random(f"{self._seed}/{number}")
        name = chance.choices(self._names, self._weights)[0]
        ranges = self.ranges(name)
        image = self._seeds[name].copy()
        places: set[int] = set()
        story = [name]
        for _ in range(chance.choice(COUNTS)):
            place, data = _change(chance, image, ranges)
            image.pwrite(place, data)
            places.update(range(place, place + len(data)))
            story.append(f"{data.hex() if len(data) <= 8 else f'{len(data)} bytes'} at {place}")
        if chance.random() < 0.8:
            repair(image, {place for place in places if place < image.size})
            story.append("repaired")
        return Mutant(number, image, name, ", ".join(story))

    def record(self) -> None:
        """Record the ranges of all seeds now, before processes are forked."""
        for name in self._names:
            self.ranges(name)

    def ranges(self, name: str) -> Ranges:
        """The ranges of a seed, which are recorded once."""
        if name not in self._ranges:
            seed = self._seeds[name]
            metadata, everything = Recorded(seed), Recorded(seed)
            read_all(metadata, contents=False)
            read_all(everything)
            contents = sorted(everything.ranges - metadata.ranges)
            self._ranges[name] = Ranges(sorted(metadata.ranges), contents)
        return self._ranges[name]


def _weight(name: str) -> float:
    return next((weight for kind, weight in WEIGHTS.items() if name.startswith(kind)), 1)


def _change(chance: random.Random, image: Image, ranges: Ranges) -> tuple[int, bytes]:
    place = _place(chance, image, ranges)
    kind = chance.random()
    if kind < 0.25:
        return place, bytes([image.pread(place, 1)[0] ^ 1 << chance.randrange(8)])
    if kind < 0.65:
        width = min(chance.choice((1, 2, 4, 4, 8)), image.size - place)
        order = chance.choice(("little", "big"))
        if chance.random() < 0.3:
            value = int.from_bytes(image.pread(place, width), order) + chance.choice((-512, -2, -1, 1, 2, 512, 4096))
        else:
            value = chance.choice((*INTERESTING, image.size, image.size // 4096))
        return place, (value & (1 << 8 * width) - 1).to_bytes(width, order)
    if kind < 0.8:
        return place, chance.randbytes(chance.choice((1, 2, 4, 16)))
    # Bytes of elsewhere: numbers that are right in another place make loops, and what is shared.
    source = _place(chance, image, ranges)
    width = chance.choice((2, 4, 8, 8, 16, 32, 64, 512, MAX_WRITTEN))
    if width >= 32:
        place, source = place // width * width, source // width * width
    elif chance.random() < 0.7:
        place, source = place & ~3, source & ~3
    return place, image.pread(source, min(width, image.size - source))


def _place(chance: random.Random, image: Image, ranges: Ranges) -> int:
    """A byte that is read, mostly one that is not zero: tables are mostly padding."""
    pieces = ranges.metadata if chance.random() < 0.85 or not ranges.contents else ranges.contents
    for _ in range(10):
        offset, length = chance.choice(pieces)
        place = offset + chance.randrange(min(length, 1 << 16))
        if image.pread(place, 1) != b"\0":
            break
    return place
