"""A file that a plugin may write."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Optional


class Scratch:
    """A file without a name that only the plugin sees, empty at first.

    Douane makes it and passes it to the plugin as :attr:`Inspector.scratch`; plugins never make one. Unwritten ranges
    are holes and take no room on the disk.
    """

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size
        self._file: Optional[BinaryIO] = None

    @property
    def file(self) -> BinaryIO:
        """The file, open for reading and writing bytes, unbuffered, so that programs see what the plugin writes."""
        if self._file is None:
            import os

            self._file = os.fdopen(self._fd, "r+b", buffering=0, closefd=False)
        return self._file

    @property
    def path(self) -> str:
        """The path at which a program that the plugin starts can open the file, to read and write it.

        It is valid only in a process that inherits :meth:`fileno` (``pass_fds``). A program can neither replace the
        file nor create another one beside it.
        """
        return f"/proc/self/fd/{self._fd}"

    @property
    def size(self) -> int:
        """The operator's limit in bytes: for the length of each file, and for the disk space of all together."""
        return self._size

    def fileno(self) -> int:
        """Return the file's descriptor, for the functions of :mod:`os`."""
        return self._fd
