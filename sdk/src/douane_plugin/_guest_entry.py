"""What is in the folders of a guest, and the bytes of its files."""

from __future__ import annotations

import errno
import io
import os

from ._views import read_only

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Optional

    from ._guest_faults import Faults

BUFFER_BYTES = 128 << 10


class GuestEntry:
    """An entry of a folder of the guest, as stat(2) shows it. All of it is read-only."""

    __slots__ = ("_faults", "_item")

    def __init__(self, item: Any, faults: Faults) -> None:
        self._item = item
        self._faults = faults

    @property
    def path(self) -> str:
        """Its path, with a leading slash."""
        path: str = self._item.path
        return path

    @property
    def volume(self) -> str:
        """The name of its volume."""
        name: str = self._item.volume.name
        return name

    @property
    def kind(self) -> str:
        """``"file"``, ``"dir"``, ``"link"``, ``"fifo"``, ``"socket"``, ``"char"`` or ``"block"``."""
        kind: str = self._item.node.kind
        return kind

    @property
    def mode(self) -> int:
        """Permissions, with the set-id and sticky bits, without the kind."""
        mode: int = self._item.node.mode
        return mode

    @property
    def uid(self) -> int:
        """The number of the user who owns it."""
        uid: int = self._item.node.uid
        return uid

    @property
    def gid(self) -> int:
        """The number of its group."""
        gid: int = self._item.node.gid
        return gid

    @property
    def size(self) -> int:
        """Its length in bytes."""
        size: int = self._item.node.size
        return size

    @property
    def mtime_ns(self) -> int:
        """The time of the last change of its content, in nanoseconds since 1970."""
        mtime_ns: int = self._item.node.mtime_ns
        return mtime_ns

    @property
    def link(self) -> Optional[str]:
        """The target of a link, None for anything else. Raises Incomplete if it cannot be read."""
        try:
            target: Optional[str] = self._item.link
            return target
        except self._faults.errors as error:
            raise self._faults.incomplete(f"{self.volume}:{self.path}", error) from error

    @property
    def xattrs(self) -> Mapping[str, bytes]:
        """Its extended attributes, as listxattr(2) and getxattr(2) show them: bytes by whole names, such as
        ``security.selinux``. Empty where the file system has none. Raises Incomplete if they cannot be read."""
        try:
            attributes = self._item.volume.system.xattrs(self._item.node)
        except self._faults.errors as error:
            raise self._faults.incomplete(f"{self.volume}:{self.path}", error) from error
        names: Mapping[str, bytes] = read_only(
            {name.decode("utf-8", "surrogateescape"): bytes(attributes[name]) for name in attributes}
        )
        return names

    def open(self) -> GuestFile:
        """Return the file, open for reading bytes. Raises OSError if it is not a file."""
        if self.kind != "file":
            number = errno.EISDIR if self.kind == "dir" else errno.ENXIO
            raise OSError(number, os.strerror(number), self.path)
        try:
            return GuestFile(self._item.open(), f"{self.volume}:{self.path}", self._faults)
        except self._faults.errors as error:
            raise self._faults.incomplete(f"{self.volume}:{self.path}", error) from error

    def __repr__(self) -> str:
        return f"<{self.kind} {self.path}>"


class _RawFile(io.RawIOBase):
    """The bytes of a file of a guest, without a buffer."""

    def __init__(self, file: Any, place: str, faults: Faults) -> None:
        self._file = file
        self._place = place
        self._faults = faults

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        position: int = self._file.seek(offset, whence)
        return position

    def tell(self) -> int:
        position: int = self._file.tell()
        return position

    def readinto(self, buffer: Any) -> int:
        try:
            count: int = self._file.readinto(buffer)
            return count
        except self._faults.errors as error:
            raise self._faults.incomplete(self._place, error) from error


class GuestFile(io.BufferedReader):
    """A file of the guest, open for reading: a binary file as `open` returns it. Holes are zeros.

    `size` is its length in bytes. Reading raises :class:`Incomplete` where the image cannot be read.
    """

    def __init__(self, file: Any, place: str, faults: Faults) -> None:
        super().__init__(_RawFile(file, place, faults), BUFFER_BYTES)
        self.size: int = file.size
