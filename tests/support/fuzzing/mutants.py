"""Mutants of images: the n-th mutant of a seed is the same on every machine and in every run."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

MOST_BYTES = 12 << 20
"""The limit of a mutant: bytes cost time, and faults show in the headers."""

INTERESTING = (
    *(0, 1, 2, 3, 4, 7, 8, 9, 16, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 513, 1023, 1024, 4095, 4096),
    *(1 << power for power in (13, 15, 16, 20, 21, 24, 31, 32, 40, 52, 62, 63)),
    *((1 << power) - 1 for power in (15, 16, 20, 31, 32, 40, 52, 63, 64)),
    *((1 << 31) + 1, (1 << 32) - 512, (1 << 63) - 512, (1 << 64) - 2, (1 << 64) - 512, 0x5555555555555555),
)
PLACES = (0, 0, 0, 0, 512, 1024, 4096, 32 << 10, 64 << 10, 128 << 10, 192 << 10, 1 << 20, 2 << 20, 3 << 20)
"""Offsets of structures in the formats, near which most mutations are made."""


@dataclass(frozen=True)
class Mutant:
    """`data`, its history, and the offsets of its chunks."""

    number: int
    data: bytes
    story: str
    cuts: tuple[int, ...]


class Mutator:
    """Makes mutants of `seeds`, more often of small seeds, which cost less."""

    def __init__(self, seeds: Mapping[str, bytes], seed: int) -> None:
        self._names = sorted(seeds)
        self._seeds = seeds
        self._seed = seed
        self._weights = [1 / (1 + len(seeds[name]) / (256 << 10)) for name in self._names]
        self._filled = {name: _filled(seeds[name]) for name in self._names}

    def make(self, number: int) -> Mutant:
        """The mutant `number`."""
        chance = random.Random(f"{self._seed}/{number}")
        name = chance.choices(self._names, self._weights)[0]
        data = bytearray(self._seeds[name])
        story = [name]
        for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4, 8))):
            change = chance.choices(CHANGES, WEIGHTS)[0]
            story.append(change(self, chance, data, self._filled[name]))
            if not data:
                break
        del data[MOST_BYTES:]
        return Mutant(number, bytes(data), ", ".join(story), _cuts(chance, len(data)))

    def another_seed(self, chance: random.Random) -> tuple[str, bytes]:
        """A seed to splice in."""
        name = chance.choices(self._names, self._weights)[0]
        return name, self._seeds[name]


def _filled(data: bytes) -> Sequence[int]:
    """Offsets of blocks of 64 bytes that are not all zero."""
    zero = bytes(64)
    return [at for at in range(0, len(data), 64) if data[at : at + 64] != zero[: len(data) - at]] or [0]


def _cuts(chance: random.Random, length: int) -> tuple[int, ...]:
    places = {0, length}
    for _ in range(chance.randrange(8)):
        near = chance.choice((*PLACES, length, 72 << 10, chance.randrange(length + 1)))
        places.add(min(length, max(0, near + chance.randrange(-600, 600))))
    places.update(range(0, length, 1 << 20))
    return tuple(sorted(places))


def _place(chance: random.Random, data: bytearray, filled: Sequence[int]) -> int:
    """An offset in `data`, which is not empty."""
    kind = chance.random()
    if kind < 0.6:
        at = chance.choice(filled) + chance.randrange(64)
    elif kind < 0.85:
        at = chance.choice(PLACES) + chance.randrange(512)
    elif kind < 0.95:
        at = len(data) - 1 - chance.randrange(min(len(data), 1536))
    else:
        at = chance.randrange(len(data))
    return min(at, len(data) - 1)


def _flip(mutator: Mutator, chance: random.Random, data: bytearray, filled: Sequence[int]) -> str:
    places = [_place(chance, data, filled) for _ in range(chance.choice((1, 1, 2, 5)))]
    for at in places:
        data[at] ^= 1 << chance.randrange(8)
    return f"bits flipped at {places}"


def _byte(mutator: Mutator, chance: random.Random, data: bytearray, filled: Sequence[int]) -> str:
    at = _place(chance, data, filled)
    data[at] = chance.choice((0, 1, 9, 10, 13, 32, 34, 0x2E, 0x2F, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return f"byte {data[at]:#x} at {at}"


def _integer(mutator: Mutator, chance: random.Random, data: bytearray, filled: Sequence[int]) -> str:
    width = chance.choice((2, 4, 4, 4, 8, 8, 8))
    unit = min(width, 4)
    at = _place(chance, data, filled) // unit * unit
    at = max(0, min(at, len(data) - width))
    order: Literal["little", "big"] = "little" if chance.random() < 0.5 else "big"
    old = int.from_bytes(data[at : at + width], order)
    kind = chance.random()
    if kind < 0.7:
        value = chance.choice(INTERESTING)
    elif kind < 0.9:
        value = old + chance.choice((-512, -1, 1, 2, 512, 4096, 1 << 20))
    else:
        value = len(data) + chance.choice((-512, -1, 0, 1, 512))
    value &= (1 << 8 * width) - 1
    data[at : at + width] = value.to_bytes(width, order)
    return f"{order} {width}-byte {value:#x} at {at}"


def _truncate(mutator: Mutator, chance: random.Random, data: bytearray, filled: Sequence[int]) -> str:
    at = chance.choice((_place(chance, data, filled), chance.randrange(len(data)), max(0, len(data) - 512)))
    del data[at:]
    return f"cut off at {at}"


def _splice(mutator: Mutator, chance: random.Random, data: bytearray, filled: Sequence[int]) -> str:
    name, second = mutator.another_seed(chance)
    at = _place(chance, data, filled) & ~(chance.choice((1, 512, 4096, 65536)) - 1)
    data[at:] = second[at:]
    return f"the rest of {name} from {at}"


def _overlay(mutator: Mutator, chance: random.Random, data: bytearray, filled: Sequence[int]) -> str:
    name, second = mutator.another_seed(chance)
    at = chance.choice((*PLACES, max(0, len(data) - 512)))
    start = chance.choice((0, 0, max(0, len(second) - 512), 512, 32 << 10))
    piece = second[start : start + chance.choice((16, 512, 512, 4096, 65536))]
    if at > len(data):
        data.extend(bytes(at - len(data)))
    data[at : at + len(piece)] = piece
    return f"{len(piece)} bytes of {name} from {start} laid over {at}"


def _append(mutator: Mutator, chance: random.Random, data: bytearray, filled: Sequence[int]) -> str:
    name, second = mutator.another_seed(chance)
    piece = chance.choice((second[: 1 << 20], second[-512:], bytes(chance.randrange(1, 70000))))
    data += piece
    return f"{len(piece)} bytes added at the end ({name})"


def _insert(mutator: Mutator, chance: random.Random, data: bytearray, filled: Sequence[int]) -> str:
    at = _place(chance, data, filled)
    piece = chance.choice((chance.randbytes(chance.randrange(1, 64)), bytes(chance.choice((1, 4, 512, 4096)))))
    data[at:at] = piece
    return f"{len(piece)} bytes put in at {at}"


def _remove(mutator: Mutator, chance: random.Random, data: bytearray, filled: Sequence[int]) -> str:
    at = _place(chance, data, filled)
    length = chance.choice((1, 4, 8, 64, 512, 4096))
    del data[at : at + length]
    return f"{length} bytes taken out at {at}"


def _repeat(mutator: Mutator, chance: random.Random, data: bytearray, filled: Sequence[int]) -> str:
    at = _place(chance, data, filled)
    piece = bytes(data[at : at + chance.choice((1, 8, 24, 64, 512))])
    times = chance.choice((2, 3, 16, 300, 5000))
    data[at:at] = piece * min(times, 1 + (1 << 20) // max(1, len(piece)))
    return f"{len(piece)} bytes at {at} repeated {times} times"


def _noise(mutator: Mutator, chance: random.Random, data: bytearray, filled: Sequence[int]) -> str:
    at = _place(chance, data, filled)
    length = min(chance.choice((4, 16, 64, 512)), len(data) - at)
    data[at : at + length] = chance.randbytes(length)
    return f"{length} random bytes at {at}"


def _copy(mutator: Mutator, chance: random.Random, data: bytearray, filled: Sequence[int]) -> str:
    source, to = _place(chance, data, filled), _place(chance, data, filled)
    piece = bytes(data[source : source + chance.choice((4, 8, 16, 64, 512))])
    data[to : to + len(piece)] = piece
    return f"{len(piece)} bytes of {source} copied to {to}"


CHANGES = (
    *(_flip, _byte, _integer, _truncate, _splice, _overlay),
    *(_append, _insert, _remove, _repeat, _noise, _copy),
)
WEIGHTS = (6, 5, 12, 3, 2, 3, 1, 2, 2, 2, 3, 3)
