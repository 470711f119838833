"""What a container is: a function that makes the disk inside an image file a :class:`~douane_guest.source.Source`.

A container is a module here with `probe(source) -> bool` and `open(source, budget) -> Disk`, and one line in
`registry.py`. Headers are read by `douane_guest.headers`, which Douane's plugin `format` uses as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from douane_guest.budget import Budget
from douane_guest.source import Source


class Extent(NamedTuple):
    """A range of the disk that holds data."""

    start: int
    size: int


class Disk(Source, Protocol):
    """The disk that the guest sees."""

    format: str
    """``qcow2``, ``vmdk``, ``raw``, ..."""

    sector_size: int
    """Bytes of a sector of the disk to its guest: 512, or what the container states."""

    def extents(self) -> Iterator[Extent]:
        """The ranges that are allocated, ascending; everything else is zero."""


class Container(Protocol):
    """A module of a container has a function `probe`, and a function `open`."""

    def probe(self, source: Source) -> bool:
        """True if the file is such a container. Raises nothing but Broken from the source."""

    def open(self, source: Source, budget: Budget) -> Disk:
        """Read its header."""
