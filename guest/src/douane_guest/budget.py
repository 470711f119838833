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


class Budget:
    """What may be spent on one image; shared by all its readers."""

    def __init__(
        self, *, steps: int = STEPS, entries: int = ENTRIES, depth: int = DEPTH, delivered: int | None = None
    ) -> None:
        """`delivered` bounds the bytes of files that are read, None: no bound."""
        self._steps = steps
        self._entries = entries
        self._delivered = delivered
        self.depth = depth

    def step(self, count: int = 1) -> None:
        """Count steps of a loop whose length the image decides. Raises TooMuch."""
        self._steps -= count
        if self._steps < 0:
            raise TooMuch("the structures of the image take more steps than the bound allows")

    def entry(self) -> None:
        """Count an entry of a folder. Raises TooMuch."""
        self._entries -= 1
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
