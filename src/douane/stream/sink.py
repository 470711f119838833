"""Where an image is kept: the protocol, and a temporary file that follows it."""

from __future__ import annotations

import os
import tempfile
from typing import Protocol

from douane.errors import DouaneError, SinkError

from .temp_files import nameless


class Sink(Protocol):
    """Where the image is to be kept: a descriptor that is written at offsets, and what ends it."""

    @property
    def fd(self) -> int: ...

    def open_read(self) -> int:
        """A read-only descriptor of the same file; the caller closes it."""

    def finish(self, size: int) -> None:
        """All is written; `size` is the number of bytes, holes at the end included. Durable on return."""

    def explain(self, error: OSError) -> DouaneError:
        """The error to raise instead of `error`, which writing to `fd` raised: where it happened, and what to do."""


class Spool:
    """A file without a name, for plugins that read at random what has no file of its own."""

    def __init__(self) -> None:
        where = tempfile.gettempdir()
        try:
            self.fd = nameless(where)
        except OSError as error:
            raise DouaneError(
                f"the image cannot be kept for those who read it at random: {error.strerror} in {where}; "
                "set TMPDIR to another place"
            ) from error
        os.fchmod(self.fd, 0o444)  # it has no name; a caged process of another user id may open it by its descriptor

    def open_read(self) -> int:
        return os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC)

    def finish(self, size: int) -> None:
        os.ftruncate(self.fd, size)

    def explain(self, error: OSError) -> DouaneError:
        where = tempfile.gettempdir()
        return SinkError(
            f"the image could not be kept for those who read it at random: {error.strerror} in {where}; "
            "free some space there, or set TMPDIR to another place",
            code="temporary-full",
        )

    def close(self) -> None:
        """Give it up: nothing is left of it."""
        os.close(self.fd)
