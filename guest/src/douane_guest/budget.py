"""Bounds for hostile structures: every loop over something that the image says counts its steps here."""

from __future__ import annotations

from .errors import TooMuch

STEPS = 200_000_000
ENTRIES = 10_000_000
DEPTH = 128
FILE_BYTES = 64 << 20
"""Of a file that a caller reads as a whole without saying how much it may have."""
STRUCTURE_BYTES = 16 << 20
"""The largest single structure that is kept in memory: a table, a folder's block, a decompressed metadata block."""


ATTRIBUTE_BYTES = 2 << 20
DELIVERED, DELIVERED_TIMES = 64 << 30, 1024
"""Bytes of files that are read of an image if its user says nothing: so many, or so many times those of the image.
Snapshots and compression make many of few; blocks that a million files share would be read for days."""


class Budget:
    """What may be spent on one image; shared by all its readers."""

    def __init__(
        self, *, steps: int = STEPS, entries: int = ENTRIES, depth: int = DEPTH, delivered: int | None = None
    ) -> None:
        """`delivered` bounds the bytes of files that are read, None: that of `bound_delivered`."""
        self._steps = steps
        self._entries = entries
        self._delivered = delivered
        self.depth = depth

    def bound_delivered(self, size: int) -> None:
        """Bound the bytes of files by the size of the image, unless there is a bound."""
        if self._delivered is None:
            self._delivered = max(DELIVERED, DELIVERED_TIMES * size)

    def step(self, count: int = 1) -> None:
        """Count steps of a loop whose length the image decides. Raises TooMuch."""
        self._steps -= count
        if self._steps < 0:
            raise TooMuch("the structures of the image take more steps than the bound allows")

    def entry(self, count: int = 1) -> None:
        """Count entries of a folder. Raises TooMuch."""
        self._entries -= count
        if self._entries < 0:
            raise TooMuch("the image has more files than the bound allows")

    def deliver(self, count: int) -> None:
        """Count bytes of files that are read. Raises TooMuch."""
        if self._delivered is None:
            return
        self._delivered -= count
        if self._delivered < 0:
            raise TooMuch("the files of the image have more bytes than the bound allows")


def check_size(count: int, what: str) -> None:
    """Raises TooMuch for a structure that would not fit in memory. Call it before reading `count` bytes."""
    if count > STRUCTURE_BYTES:
        raise TooMuch(f"{what} has {count} bytes, more than the {STRUCTURE_BYTES} that are read at once")


class AttributeRoom:
    """What the extended attributes of an object may take in memory: values can be shared, names are cheap. Linux lists
    64 KiB of names, and a value has at most 64 KiB."""

    def __init__(self, most: int = ATTRIBUTE_BYTES) -> None:
        self._room = most

    def take(self, count: int) -> None:
        """Raises TooMuch."""
        self._room -= count
        if self._room < 0:
            raise TooMuch(f"the extended attributes of an object have more than {ATTRIBUTE_BYTES} bytes")
