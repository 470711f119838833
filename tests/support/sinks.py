"""Where tests keep what comes out of a run."""

from __future__ import annotations

import os
from pathlib import Path

from douane.stream.sink import FileSink


class KeptFile(FileSink):
    """A sink for a new file at `path`; `size` is None until the run has finished the file, which closes it."""

    def __init__(self, path: Path) -> None:
        super().__init__(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644), str(path))
        self.path = path
        self.size: int | None = None

    def finish(self, size: int) -> None:
        """See `Sink`; the test does not wait for the disk."""
        os.ftruncate(self.fd, size)
        self.size = size
        self.close()

    def close(self) -> None:
        """Give the descriptor up, once."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def content(self) -> bytes:
        """The bytes of a finished file."""
        assert self.size is not None
        return self.path.read_bytes()
