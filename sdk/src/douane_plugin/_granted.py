"""What `grant(name)` returns for files and folders."""

from __future__ import annotations

import io
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional


class GrantedFile(io.BufferedReader):
    """An open file for reading bytes, as :func:`open` returns it. `name` is its path, or else the grant's name."""

    def __init__(self, fd: int, name: str, path: Optional[str]) -> None:
        raw = io.FileIO(fd, "rb")
        raw.name = path or name  # libraries expect a text and not a number
        super().__init__(raw)
        self._grant = name
        self._path = path

    @property
    def path(self) -> str:
        """The path at which a library or a program can open the file for reading. Raises LookupError without one."""
        if self._path is None:
            raise LookupError(f"the granted file {self._grant!r} has no path here; read the file object itself")
        return self._path


class GrantedFolder(os.PathLike):  # type: ignore[type-arg]  # not subscriptable at run time before Python 3.9.2
    """A folder that can be read, with all that is in it. Functions that take a path take this object as well."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        """The name of the grant."""

        self.path = path
        """The folder's path."""

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"<granted folder {self.name!r}: {self.path}>"
