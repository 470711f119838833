"""Runs of clusters: pairs of a length and a distance, packed in as few bytes as they need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.errors import Broken


class Run(NamedTuple):
    """Clusters of an attribute that lie one after the other."""

    first: int
    """Within the attribute."""

    length: int
    cluster: int | None
    """On the disk; None: a hole."""


def unpack(pairs: bytes, first: int, clusters: int) -> Iterator[Run]:
    """The runs of a part of an attribute that begins with its cluster `first`, on a disk of so many clusters."""
    place = position = 0
    while place < len(pairs) and pairs[place]:
        length_bytes, distance_bytes = pairs[place] & 15, pairs[place] >> 4
        end = place + 1 + length_bytes + distance_bytes
        if not 1 <= length_bytes <= 8 or distance_bytes > 8 or end > len(pairs):
            raise Broken("the runs of an attribute of NTFS are damaged")
        middle = place + 1 + length_bytes
        length = int.from_bytes(pairs[place + 1 : middle], "little", signed=True)
        if length <= 0 or first + length >= 1 << 52:
            raise Broken(f"a run of an attribute of NTFS has {length} clusters")
        if distance_bytes:
            position += int.from_bytes(pairs[middle:end], "little", signed=True)
            if position < 0 or position + length > clusters:
                raise Broken(f"an attribute of NTFS lies in cluster {position} and {length - 1} more, of {clusters}")
        yield Run(first, length, position if distance_bytes else None)
        first += length
        place = end
