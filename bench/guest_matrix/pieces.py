"""Pieces of sparse files: what is copied into partitions, volumes and arrays are the parts that have data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from .workshop import MEBIBYTE, empty_file

STEP = MEBIBYTE


class Area(NamedTuple):
    """A place in a file, from an offset on."""

    file: Path
    offset: int

    def write(self, offset: int, data: bytes) -> None:
        """Write at an offset of the area."""
        with self.file.open("r+b") as file:
            os.pwrite(file.fileno(), data, self.offset + offset)


def rounded_size(image: Path) -> int:
    """In whole mebibytes."""
    return -(-image.stat().st_size // MEBIBYTE) * MEBIBYTE


def data_units(image: Path, unit: int) -> Iterator[tuple[int, bytes]]:
    """Each unit with data: its number and its bytes, of the last one filled up with zeros."""
    size = image.stat().st_size
    with image.open("rb") as file:
        number = 0
        while number * unit < size:
            try:
                start = os.lseek(file.fileno(), number * unit, os.SEEK_DATA)
            except OSError:
                return
            number = start // unit
            data = os.pread(file.fileno(), unit, number * unit)
            if data.count(0) != len(data):
                yield number, data.ljust(unit, b"\0")
            number += 1


def copy_into(image: Path, area: Area, start: int = 0, size: int | None = None) -> None:
    """Copy the data of an image, or of a part of it in whole steps."""
    end = rounded_size(image) if size is None else start + size
    with area.file.open("r+b") as file:
        for number, data in data_units(image, STEP):
            if start <= number * STEP < end:
                os.pwrite(file.fileno(), data, area.offset + number * STEP - start)


def spread(image: Path, chunk: int, areas: list[Area], place: Callable[[int], list[tuple[int, int]]]) -> None:
    """Copy each chunk to the areas that `place` names: pairs of an area and the number of the chunk in it."""
    for number, data in data_units(image, chunk):
        for index, row in place(number):
            areas[index].write(row * chunk, data)


class Stripe(NamedTuple):
    """Of an array with parity: the members with data, in their order, and those with P and Q."""

    data: list[int]
    parity: list[int]


def spread_with_parity(image: Path, chunk: int, areas: list[Area], stripe: Callable[[int], Stripe]) -> None:
    """RAID 4, 5 and 6."""
    width = len(stripe(0).data)
    for row, data in data_units(image, chunk * width):
        members = stripe(row)
        chunks = [data[at : at + chunk] for at in range(0, len(data), chunk)]
        for index, part in zip(members.data, chunks, strict=True):
            areas[index].write(row * chunk, part)
        for index, part in zip(members.parity, (_xor(chunks), _syndrome(chunks)), strict=False):
            areas[index].write(row * chunk, part)


_DOUBLED = bytes((value << 1) & 0xFF ^ (0x1D if value & 0x80 else 0) for value in range(256))
"""Times 2 in the field of RAID 6 (H. P. Anvin, The mathematics of RAID-6)."""


def _xor(chunks: list[bytes]) -> bytes:
    total = 0
    for chunk in chunks:
        total ^= int.from_bytes(chunk, "little")
    return total.to_bytes(len(chunks[0]), "little")


def _syndrome(chunks: list[bytes]) -> bytes:
    total = bytes(len(chunks[0]))
    for chunk in reversed(chunks):
        total = _xor([total.translate(_DOUBLED), chunk])
    return total


def padded_copy(image: Path, target: Path) -> Path:
    """A copy in whole mebibytes."""
    copy_into(image, Area(empty_file(target, rounded_size(image)), 0))
    return target
