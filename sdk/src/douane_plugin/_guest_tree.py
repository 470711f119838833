"""Paths in a guest: of a system, or of a single volume."""

from __future__ import annotations

from ._guest_entry import GuestEntry, GuestFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping

    from ._guest_faults import Faults

MAX_READ = 16 << 20
"""Bytes of a file that :meth:`GuestTree.read` returns if the plugin does not say more."""

_List = list
"""A class with a method `list` cannot use the name of the type."""


class GuestTree:
    """Paths below a folder: of a system, with what it mounts, or of a single volume.

    Paths are str and begin at the root, with or without a slash; bytes that are not UTF-8 are in them by
    ``surrogateescape``. Links are followed inside of the guest, never outside. Methods raise FileNotFoundError,
    NotADirectoryError and IsADirectoryError as those of `os` do, and :class:`Incomplete` where the image cannot be
    read: if the plugin does not catch it, that is its answer.
    """

    def __init__(self, tree: Any, faults: Faults) -> None:
        self._tree = tree
        self._faults = faults

    def _root(self) -> Any:
        return self._tree

    def open(self, path: str) -> GuestFile:
        """Return the file at `path`, open for reading bytes."""
        tree = self._root()
        try:
            return GuestFile(tree.open(path), tree.volume.name + ":" + path, self._faults)
        except self._faults.errors as error:
            raise self._faults.incomplete(f"{tree.volume.name}:{path}", error) from error

    def read(self, path: str, most: int = MAX_READ) -> bytes:
        """Return all bytes of the file at `path`. Raises Incomplete, code ``guest-too-much``, if it is longer than
        `most` bytes (16 MiB): use :meth:`open` for such a file."""
        tree = self._root()
        try:
            data: bytes = tree.read(path, most)
            return data
        except self._faults.errors as error:
            raise self._faults.incomplete(f"{tree.volume.name}:{path}", error) from error

    def stat(self, path: str, follow: bool = True) -> GuestEntry:
        """Return the entry at `path`; with `follow`, that to which a link leads."""
        tree = self._root()
        try:
            return GuestEntry(tree.stat(path, follow=follow), self._faults)
        except self._faults.errors as error:
            raise self._faults.incomplete(f"{tree.volume.name}:{path}", error) from error

    def xattrs(self, path: str, follow: bool = True) -> Mapping[str, bytes]:
        """Return the extended attributes of what is at `path`: see :attr:`GuestEntry.xattrs`. With `follow`, of that to
        which a link leads."""
        return self.stat(path, follow).xattrs

    def exists(self, path: str) -> bool:
        """Return True if `path` leads to something."""
        tree = self._root()
        try:
            return bool(tree.exists(path))
        except self._faults.errors as error:
            raise self._faults.incomplete(f"{tree.volume.name}:{path}", error) from error

    def list(self, path: str = "/") -> _List[str]:
        """Return the names in the folder at `path`. Names that cannot be read are in :attr:`Guest.unread`."""
        tree = self._root()
        try:
            names: list[str] = tree.list(path)
            return names
        except self._faults.errors as error:
            raise self._faults.incomplete(f"{tree.volume.name}:{path}", error) from error

    def walk(self, path: str = "/") -> Iterator[GuestEntry]:
        """Iterate over all entries below the folder at `path`, the folder first. Links are not followed. What cannot be
        read is in :attr:`Guest.unread`, and the walk goes on."""
        tree = self._root()
        faults = self._faults
        try:
            for item in tree.walk(path):
                yield GuestEntry(item, faults)
        except faults.errors as error:
            raise faults.incomplete(f"{tree.volume.name}:{path}", error) from error

    def glob(self, pattern: str) -> _List[GuestEntry]:
        """Return the entries whose paths match: ``*``, ``?`` and ``[...]`` within a name, ``**`` for any number of
        folders. Names that begin with a dot match as others do."""
        tree = self._root()
        try:
            return [GuestEntry(item, self._faults) for item in tree.glob(pattern)]
        except self._faults.errors as error:
            raise self._faults.incomplete(f"{tree.volume.name}:{pattern}", error) from error
