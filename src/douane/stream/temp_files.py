"""Temporary files without a name: no other process can open them, and they disappear with the last descriptor."""

from __future__ import annotations

import contextlib
import errno
import os

from douane.errors import SinkError

SCRATCH_FILES = 2
"""As many as a conversion needs: for its input, and for its output."""


def disk_bytes(fd: int) -> int:
    """Bytes that a file takes on the disk; a hole takes none (stat(2), st_blocks is in units of 512 bytes)."""
    return os.fstat(fd).st_blocks * 512


def temp_folder() -> str:
    """The folder for temporary files: ``TMPDIR``, or the system's default."""
    import tempfile  # few runs need one, and importing it takes 3 ms

    return tempfile.gettempdir()


def open_unnamed(folder: str) -> int:
    """A new file in `folder`, open for reading and writing, that has no name and cannot be given one.

    Raises OSError.
    """
    try:
        return os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):  # no O_TMPFILE there: open(2)
            raise
    import tempfile

    fd, path = tempfile.mkstemp(dir=folder)
    os.unlink(path)
    return fd


class ScratchFiles:
    """The scratch files of one plugin, in ``TMPDIR``: the plugin's alone, as no name leads to them.

    `size` is the operator's limit in bytes, for all of them together. Raises SinkError if they cannot be made.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.fds: list[int] = []
        folder = temp_folder()
        try:
            for _ in range(SCRATCH_FILES):
                self.fds.append(open_unnamed(folder))
                # The sandbox's own user opens it again by its descriptor; nobody else has a way to it.
                os.fchmod(self.fds[-1], 0o666)
        except OSError as error:
            self.close()
            raise SinkError(
                f"no temporary file can be made in {folder}: {error.strerror}; set TMPDIR to another folder",
                code="temporary-unusable",
            ) from error

    def used(self) -> int:
        """Bytes that the files take on the disk now."""
        return sum(map(disk_bytes, self.fds))

    def empty(self) -> None:
        """Empty the files, and set their offset, which the plugin's descriptors share, to the beginning."""
        for fd in self.fds:
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)

    def close(self) -> None:
        """Empty the files and close them, after the end of the plugin's process. Idempotent.

        Emptied, because the space of a file without a name is taken until its last descriptor is closed, whose ever.
        """
        while self.fds:
            fd = self.fds.pop()
            with contextlib.suppress(OSError):  # closing is what counts
                os.ftruncate(fd, 0)
            os.close(fd)
