"""The files that a plugin may write: without a name, bounded, gone when it has ended."""

from __future__ import annotations

import errno
import os
import tempfile

from douane.errors import SinkError

FILES = 2
"""As many as a conversion needs: what it has taken in, and what it makes of it."""


def on_disk(fd: int) -> int:
    """Bytes that a file takes on the disk; a hole takes none (stat(2), st_blocks is in units of 512 bytes)."""
    return os.fstat(fd).st_blocks * 512


def nameless(where: str) -> int:
    """A new file in the folder `where`, open for reading and writing, that has no name and cannot be given one.

    Raises OSError.
    """
    try:
        return os.open(where, os.O_RDWR | os.O_TMPFILE | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):  # no O_TMPFILE there: open(2)
            raise
    fd, path = tempfile.mkstemp(dir=where)
    os.unlink(path)
    return fd


class Scratch:
    """The scratch files of one plugin, in ``TMPDIR``: the plugin's alone, as no name leads to them.

    `size` is the operator's bound in bytes, for all of them together. Raises SinkError if there can be none.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.fds: list[int] = []
        where = tempfile.gettempdir()
        try:
            for _ in range(FILES):
                self.fds.append(nameless(where))
                # For the cage's own user, who opens it again by its descriptor; nobody else has a way to it.
                os.fchmod(self.fds[-1], 0o666)
        except OSError as error:
            self.close()
            raise SinkError(
                f"no temporary file can be made in {where}: {error.strerror}; set TMPDIR to another place",
                code="temporary-unusable",
            ) from error

    def used(self) -> int:
        """Bytes that they take on the disk now."""
        return sum(map(on_disk, self.fds))

    def close(self) -> None:
        """Give them up; when the plugin's process has ended, nothing is left of them. Idempotent."""
        while self.fds:
            os.close(self.fds.pop())
