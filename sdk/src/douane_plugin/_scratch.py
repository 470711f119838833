"""A file that a plugin may write."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Optional


class Scratch:
    """A file of a plugin's own, without a name, empty at first. Plugins are handed some; they never make one.

    What was not written is a hole and takes no room on the disk.
    """

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size
        self._file: Optional[BinaryIO] = None

    @property
    def file(self) -> BinaryIO:
        """It, opened for reading and writing bytes, without a buffer: what was written is there for programs, too."""
        if self._file is None:
            import os

            self._file = os.fdopen(self._fd, "r+b", buffering=0, closefd=False)
        return self._file

    @property
    def path(self) -> str:
        """A path under which a program that the plugin starts can open it, for reading and writing.

        Of no meaning to any other process: the program must inherit :meth:`fileno` (``pass_fds``). It cannot replace
        the file by another, nor make one beside it.
        """
        return f"/proc/self/fd/{self._fd}"

    @property
    def size(self) -> int:
        """The operator's bound in bytes: no file may be longer, and all together may take no more on the disk."""
        return self._size

    def fileno(self) -> int:
        """Its descriptor, for the functions of :mod:`os`."""
        return self._fd
