"""Where an image is written to: the protocol, a sink for any open file, and one for temporary files."""

from __future__ import annotations

import os
from typing import Protocol

from douane.errors import DouaneError, SinkError

from .temp_files import open_unnamed, temp_folder


class Sink(Protocol):
    """What the writer fills, in ascending order of offsets. Unwritten ranges are holes."""

    @property
    def fd(self) -> int | None:
        """The fast path: a descriptor for pwrite(2) at any offset, by several threads at once; None if it is no
        file."""

    def write(self, view: memoryview, offset: int) -> None:
        """Write all of `view`, whose memory is the caller's again on return. Without `fd`, it is called by one thread
        at a time, and never for an offset before the end of what was written. Raises DouaneError."""

    def open_read(self) -> int | None:
        """A read-only descriptor of the same bytes, which the caller closes; None if they cannot be read back."""

    def finish(self, size: int) -> None:
        """All is written; `size` is the number of bytes, holes at the end included. Durable on return."""

    def explain(self, error: OSError) -> DouaneError:
        """The error to raise instead of `error`, which `finish` raised: what failed, and what to do."""


class FileSink:
    """A sink for an open file, named `name` in errors."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name

    def write(self, view: memoryview, offset: int) -> None:
        """See :class:`Sink`."""
        try:
            while view:
                written = os.pwrite(self.fd, view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            raise self.explain(error) from error

    def open_read(self) -> int:
        """See :class:`Sink`."""
        return os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC)

    def finish(self, size: int) -> None:
        """See :class:`Sink`."""
        os.ftruncate(self.fd, size)
        os.fsync(self.fd)

    def explain(self, error: OSError) -> DouaneError:
        """See :class:`Sink`."""
        return SinkError(f"{self.name} cannot be written: {error.strerror}")


class TempSink(FileSink):
    """A sink without a name in ``TMPDIR``, not durable: it is gone when it is closed. Raises SinkError.

    `purpose` completes the sentence "the image cannot be kept ...".
    """

    def __init__(self, purpose: str) -> None:
        self._purpose = purpose
        try:
            super().__init__(open_unnamed(temp_folder()), "the temporary file")
        except OSError as error:
            raise self._error(error, "set TMPDIR to another folder", code="temporary-unusable") from error
        os.fchmod(self.fd, 0o444)  # it has no name; a sandboxed process of another user opens it by its descriptor

    def finish(self, size: int) -> None:
        """Set the size; nothing waits for the disk."""
        os.ftruncate(self.fd, size)

    def explain(self, error: OSError) -> SinkError:
        """See :class:`Sink`."""
        return self._error(error, "free some space there, or set TMPDIR to another folder", code="temporary-full")

    def _error(self, error: OSError, remedy: str, *, code: str) -> SinkError:
        folder = temp_folder()
        return SinkError(f"the image cannot be kept {self._purpose}: {error.strerror} in {folder}; {remedy}", code=code)

    def close(self) -> None:
        """Give the file up."""
        os.close(self.fd)
