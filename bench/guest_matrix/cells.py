"""The cells of containers, tables, volumes and file systems: not all of the product, but every pair of it.

Every container is with ext4, and every table with every kind of volume; further cells make it pairwise complete: for
any two values of two columns there is a cell with both, if one can be built.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from typing import NamedTuple

from .containers import CONTAINERS
from .tables import TABLES
from .volumes import ALONE, VOLUMES

STACKED = {
    "ext2": "ext2",
    "ext3": "ext3",
    "ext4": "ext4",
    "xfs v5": "xfs version 5, filled by mkfs.xfs",
    "xfs v4": "xfs version 4",
    "btrfs": "btrfs filled by mkfs.btrfs",
    "squashfs": "squashfs zstd",
    "erofs": "erofs lz4hc",
    "fat12": "fat12",
    "fat16": "fat16",
    "fat32": "fat32",
    "exfat": "exfat clusters of 4096",
    "ntfs": "ntfs clusters of 4096",
    "iso9660": "iso9660 Rock Ridge and Joliet",
    "udf": "udf 1.02, bridge, by genisoimage",
}
"""The recipe of a file system that stands for its family."""


class Cell(NamedTuple):
    """A container, a table, a kind of volume, and a file system."""

    container: str
    table: str
    volume: str
    filesystem: str

    @property
    def name(self) -> str:
        """For people."""
        return " / ".join(self)


def can_be(cell: Cell) -> bool:
    """False for arrays of several members on a disk without partitions."""
    return cell.table != "none" or cell.volume in ALONE


def cells() -> list[Cell]:
    """All of them, each once, always in the same order."""
    chosen = dict.fromkeys(Cell(container, "none", "plain", "ext4") for container in CONTAINERS)
    for number, (table, volume) in enumerate(product(TABLES, VOLUMES)):
        container = list(CONTAINERS)[number % len(CONTAINERS)]
        filesystem = list(STACKED)[number % len(STACKED)]
        cell = Cell(container, table, volume, filesystem)
        chosen |= dict.fromkeys([cell] if can_be(cell) else [])
    chosen |= dict.fromkeys(_complete(list(chosen)))
    return list(chosen)


FIXED_CELLS = 90
FIXED_TRANSFORMED = ("OVA", "xz")
"""A cell that goes through the transforms takes 3 s of a processor, each other one 0.1 s."""


def fixed_cells() -> list[Cell]:
    """The part that `make test` runs: each file system in a raw image, two cells that go through transforms, and of the
    others those with the most pairs that no chosen one has."""
    chosen = [Cell("raw", "none", "plain", family) for family in STACKED]
    candidates = {cell: _pairs(cell) for cell in cells()}
    waiting = set().union(*candidates.values()).difference(*map(_pairs, chosen))
    for container in (*FIXED_TRANSFORMED, *[""] * (FIXED_CELLS - len(FIXED_TRANSFORMED))):
        best = max(
            (cell for cell in candidates if cell.container == container or not (container or _is_transformed(cell))),
            key=lambda cell: len(candidates[cell] & waiting),
        )
        waiting -= candidates.pop(best)
        chosen.append(best)
    return list(dict.fromkeys(chosen))


def _is_transformed(cell: Cell) -> bool:
    return CONTAINERS[cell.container].is_transformed


Pair = tuple[int, str, int, str]


def _pairs(cell: Cell) -> set[Pair]:
    return {(first, cell[first], second, cell[second]) for first, second in combinations(range(4), 2)}


def _complete(chosen: list[Cell]) -> Iterator[Cell]:
    """Cells for the pairs that are in none yet: always the one with most of them, of those with the first one."""
    columns = (list(CONTAINERS), list(TABLES), list(VOLUMES), list(STACKED))
    waiting = {
        (first, value, second, partner): None
        for first, second in combinations(range(4), 2)
        for value, partner in product(columns[first], columns[second])
        if {first: value, second: partner}.get(1) != "none" or {first: value, second: partner}.get(2, "plain") in ALONE
    }
    for cell in chosen:
        for pair in _pairs(cell):
            waiting.pop(pair, None)
    while waiting:
        first, value, second, partner = next(iter(waiting))
        fixed = {first: value, second: partner}
        free = [[fixed[index]] if index in fixed else columns[index] for index in range(4)]
        best = max(
            (cell for choice in product(*free) if can_be(cell := Cell(*choice))),
            key=lambda cell: len(_pairs(cell) & waiting.keys()),
        )
        for pair in _pairs(best):
            waiting.pop(pair, None)
        yield best
