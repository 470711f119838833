"""A file that plugins read where it is, for commands that show an image and let nothing in.

An import never does this: the owner of the file can write to it while plugins read, and other bytes than those that
they have seen would be stored. A command that shows an image says at its end that the file has changed.
"""

from __future__ import annotations

import os

from douane.errors import DouaneError, SourceError

from .ring import Ring
from .source import FileSource


class InPlaceSource(FileSource):
    """A file that plugins read at random where it is; `sink` is for :class:`~douane.host.options.RunOptions`.

    Unless it is to be `digested`, its bytes do not go through the ring, where they are one hole: for plans without
    digests, and without plugins that read the stream.
    """

    def __init__(self, fd: int, name: str, *, digested: bool) -> None:
        super().__init__(fd, name)
        self.sink = InPlaceSink(os.dup(fd), name)
        self._digested = digested

    def pump(self, ring: Ring) -> None:
        """See :class:`~douane.stream.source.Source`."""
        if self._digested:
            super().pump(ring)
        elif self._initial.st_size:
            ring.hole(self._initial.st_size)

    def check(self) -> None:
        """Raise SourceError if the file has changed since it was opened; after the run, which closes the source."""
        initial, final = self._initial, os.fstat(self.sink.file)
        if (final.st_size, final.st_mtime_ns) != (initial.st_size, initial.st_mtime_ns):
            raise SourceError(
                f"{self.name} changed while it was being read, so what was shown may be of no state that it ever had; "
                "wait until nothing writes it, then try again",
                code="changed-while-read",
            )


class InPlaceSink:
    """A sink that has the bytes already."""

    fd = None

    def __init__(self, file: int, name: str) -> None:
        self.file = file
        self._name = name

    def write(self, view: memoryview, offset: int) -> None:
        """Nothing: see the class."""

    def open_read(self) -> int:
        """See :class:`~douane.stream.sink.Sink`."""
        return os.open(f"/proc/self/fd/{self.file}", os.O_RDONLY | os.O_CLOEXEC)

    def finish(self, size: int) -> None:
        """Nothing: see the class."""

    def explain(self, error: OSError) -> DouaneError:
        """See :class:`~douane.stream.sink.Sink`."""
        return SourceError(f"{self._name} cannot be read: {error.strerror}")

    def close(self) -> None:
        """Give the file up."""
        os.close(self.file)
