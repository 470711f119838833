"""Files and names that are still there after a loss of power."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make the names in a directory durable (fsync(2)). Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write the file at `path` in one step: whoever reads it reads the earlier content or all of `data`.

    Raises OSError.
    """
    with durable_file(path, mode) as file:
        file.write(data)


@contextlib.contextmanager
def durable_file(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A file that takes the place of that at `path` when the block ends, in one step; after an error it is gone.

    Raises OSError.
    """
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "w+b") as file:
            os.fchmod(fd, mode)
            yield file
            file.flush()
            os.fsync(fd)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    sync_directory(path.parent)
