"""Images with a few changed bytes, among those that a walk reads."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from douane_guest.budget import Budget
from douane_guest.errors import GuestError
from douane_guest.filesystems.base import FILE, FOLDER, LINK, FileSystem
from douane_guest.source import Source, check_range

READ_OF_FILE = 8 << 20


class Changed:
    """A source some of whose bytes are others; it keeps the ranges that were read."""

    def __init__(self, data: bytes, changes: dict[int, int] | None = None) -> None:
        self.data = data
        self.size = len(data)
        self.changes = changes or {}
        self.ranges: list[tuple[int, int]] = []

    def pread(self, offset: int, count: int) -> bytes:
        check_range(self, offset, count)
        self.ranges.append((offset, count))
        data = self.data[offset : offset + count]
        if hits := [place for place in self.changes if offset <= place < offset + count]:
            changed = bytearray(data)
            for place in hits:
                changed[place - offset] = self.changes[place]
            data = bytes(changed)
        return data


def walk_all(system: FileSystem) -> Iterator[bytes]:
    """The path of everything, after all that can be read of it was read (of a file at most 8 MiB)."""
    waiting = [(b"", system.root, 0)]
    while waiting:
        path, ref, depth = waiting.pop()
        node = system.node(ref)
        system.xattrs(node)
        system.place(node)
        if node.kind == LINK:
            system.target(node)
        if node.kind == FILE:
            read = 0
            for _, data in system.chunks(node):
                assert 0 < len(data) <= 1 << 20
                read += len(data)
                if read > READ_OF_FILE:
                    break
        if node.kind == FOLDER and depth < 50:
            waiting += [(path + b"/" + entry.name, entry.ref, depth + 1) for entry in system.entries(node)]
        yield path


def place_in(data: bytes, ranges: list[tuple[int, int]], chance: random.Random) -> int:
    """A byte of a range; one that is not zero, if ten attempts meet one, because tables are mostly padding."""
    for _ in range(10):
        offset, length = chance.choice(ranges)
        place = offset + chance.randrange(length)
        if data[place]:
            break
    return place


def mutants(
    data: bytes, opener: Callable[[Source, Budget], FileSystem], count: int, *, steps: int, most: int = 1 << 16
) -> int:
    """Walk `count` mutants; how many of them were refused. Whatever leaves but the three exceptions fails the test.

    `most`: of each range that is read, so many bytes at its beginning are changed.
    """
    original = Changed(data)
    assert list(walk_all(opener(original, Budget(steps=steps, entries=50_000))))
    ranges = sorted({(offset, min(length, most)) for offset, length in original.ranges if length})
    chance = random.Random(17)
    refused = 0
    for _ in range(count):
        changes = {}
        for _ in range(chance.choice((1, 1, 2, 4, 16))):
            changes[place_in(data, ranges, chance)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        budget = Budget(steps=steps, entries=50_000, delivered=200 << 20)
        try:
            for _ in walk_all(opener(Changed(data, changes), budget)):
                pass
        except GuestError:
            refused += 1
    return refused
