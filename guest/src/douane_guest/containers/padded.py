"""A file whose last cluster is incomplete: qemu writes such files, and reads the missing bytes as zeros.

A cluster that begins beyond the end of the file is not there at all: then the file was cut.
"""

from __future__ import annotations

from douane_guest.source import Source, check_range


class Padded:
    """A source with zeros up to a multiple of `block`."""

    def __init__(self, source: Source, block: int) -> None:
        self._source = source
        self.size = -(-source.size // block) * block

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`~douane_guest.source.Source`."""
        check_range(self, offset, count)
        present = max(0, min(count, self._source.size - offset))
        if present == count:
            return self._source.pread(offset, count)
        return (self._source.pread(offset, present) if present else b"") + bytes(count - present)
