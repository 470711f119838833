"""``image.guest``: thin classes around those of `douane_guest`, so that the contract does not depend on them.

What the image says of itself raises three kinds of exceptions there. Here each is listed as unread, and becomes
:class:`Incomplete`, the answer of a plugin that does not catch it. One that does is asked about the list at its end.
"""

from __future__ import annotations

import errno
import io
import os

from ._exceptions import Incomplete
from ._guest_facts import UnreadPart, Volume, part_text, unread_answer
from ._views import read_only

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping, Optional

MAX_READ = 16 << 20
"""Bytes of a file that :meth:`GuestTree.read` returns if the plugin does not say more."""

BUFFER_BYTES = 128 << 10

PACKAGE_KINDS = {"deb": "dpkg", "alpm": "pacman", "pypi": "python", "npm": "node"}
"""By the words of package URLs. All others are the same in both."""

_List = list
"""A class with a method `list` cannot use the name of the type."""


def open_guest(fd: int) -> Guest:
    """Return the guest in the file of an image. What cannot be read is in `unread`."""
    from douane_guest.errors import GuestError
    from douane_guest.guest import open_guest as open_disk
    from douane_guest.source import FileSource

    position = os.lseek(fd, 0, os.SEEK_CUR)  # that of image.file, which the source moves to learn the size
    source = FileSource(fd)
    os.lseek(fd, position, os.SEEK_SET)
    return Guest(open_disk(source), GuestError)


class Faults:
    """The parts of a guest that could not be read, and how many of them the plugin has been shown."""

    def __init__(self, parts: Any, errors: Any) -> None:
        self.errors = errors
        """The base of the exceptions of `douane_guest`."""

        self._parts = parts
        self._shown = 0

    def incomplete(self, place: str, error: Any) -> Incomplete:
        """List a part at which a reader stopped, and return the exception for the plugin."""
        self._parts.add_error(place, error)
        return Incomplete(error.code, part_text(place, error.why))

    def show(self) -> tuple[UnreadPart, ...]:
        """Return all parts: the plugin asks for them."""
        parts = self._all()
        self._shown = len(parts)
        return parts

    def check_shown(self) -> None:
        """Raise Incomplete if the plugin has not been shown all parts."""
        if len(self._parts) > self._shown:
            raise unread_answer(self._all()[self._shown :])

    def _all(self) -> tuple[UnreadPart, ...]:
        return tuple([UnreadPart(part.where, part.code, part.why) for part in self._parts])


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


class Guest(GuestTree):
    """What the virtual machine will see in the image: ``image.guest``, with ``reads = "guest"``.

    Its paths are those of the first system, ``roots[0]``; without a system they raise FileNotFoundError.
    """

    volumes: tuple[GuestVolume, ...]
    """The volumes that could be opened; others are in :attr:`unread`."""

    roots: tuple[GuestRoot, ...]
    """The systems of the image: most have one."""

    def __init__(self, guest: Any, errors: Any) -> None:
        super().__init__(None, Faults(guest.unread, errors))
        self._guest = guest
        self._os: Optional[Mapping[str, str]] = None
        self._packages: Optional[list[GuestPackage]] = None
        self.volumes = tuple([GuestVolume(volume, self._faults) for volume in guest.volumes])
        self.roots = tuple(
            [
                GuestRoot(tree, self.volumes[guest.volumes.index(tree.volume)], self._faults, guest)
                for tree in guest.roots
            ]
        )

    def _root(self) -> Any:
        return self._guest.root

    def exists(self, path: str) -> bool:
        """Return True if `path` leads to something; False if there is no system."""
        return bool(self.roots) and super().exists(path)

    @property
    def disk(self) -> GuestDisk:
        """The disk that the guest sees. Raises Incomplete if the format of the image cannot be read."""
        if self._guest.disk is None:
            part = next(iter(self._guest.unread))
            raise Incomplete(part.code, part_text(part.where, part.why))
        return GuestDisk(self._guest.disk, self._faults)

    @property
    def os(self) -> Mapping[str, str]:
        """The fields of os-release(5) of the first system (``ID``, ``VERSION_ID``, ...), Windows' by the same names: a
        read-only mapping of str to str, empty if there is no system, or if it does not tell."""
        if self._os is None:
            self._os = read_only(self._guest.os)
        return self._os

    def packages(self) -> _List[GuestPackage]:
        """Return the installed packages of all systems. A database that cannot be read is in :attr:`unread`."""
        if self._packages is None:
            try:
                self._packages = [GuestPackage(package) for package in self._guest.packages()]
            except self._faults.errors as error:
                raise self._faults.incomplete("the packages", error) from error
        return list(self._packages)

    def package(self, name: str) -> Optional[GuestPackage]:
        """Return the first package of that name, None if there is none."""
        self.packages()
        for package in self._packages or ():
            if package.name == name:
                return package
        return None

    @property
    def unread(self) -> tuple[UnreadPart, ...]:
        """The parts of the image that could not be read so far. The list grows while the plugin reads: ask at its end.

        A plugin that returns while there are parts for which it has not asked is answered `Incomplete` in its place.
        """
        return self._faults.show()

    def _check_unread(self) -> None:
        """Raise Incomplete if there are unread parts for which the plugin has not asked. Douane calls this."""
        self._faults.check_shown()


class GuestRoot(GuestTree):
    """A system of the image: its root folder, and what it mounts. `volume` is the volume of the root folder."""

    def __init__(self, tree: Any, volume: GuestVolume, faults: Faults, guest: Any) -> None:
        super().__init__(tree, faults)
        self.volume = volume
        self._guest = guest
        self._os: Optional[Mapping[str, str]] = None
        self._packages: Optional[list[GuestPackage]] = None

    @property
    def os(self) -> Mapping[str, str]:
        """The fields of os-release(5) of this system, as :attr:`Guest.os` has those of the first one."""
        if self._os is None:
            self._os = read_only(self._guest.os_of(self._tree))
        return self._os

    def packages(self) -> _List[GuestPackage]:
        """Return the installed packages of this system. A database that cannot be read is in :attr:`Guest.unread`."""
        if self._packages is None:
            try:
                self._packages = [GuestPackage(package) for package in self._guest.packages_of(self._tree)]
            except self._faults.errors as error:
                raise self._faults.incomplete("the packages", error) from error
        return list(self._packages)

    def __repr__(self) -> str:
        return f"<root on {self.volume.name}>"


class GuestVolume(Volume, GuestTree):
    """A volume, and its files by their paths in it, without what a system mounts there."""

    def __init__(self, volume: Any, faults: Faults) -> None:
        Volume.__init__(self, volume.name, volume.filesystem, volume.uuid, volume.label, volume.clean)
        GuestTree.__init__(self, None, faults)
        self._volume = volume

    def _root(self) -> Any:
        if self._tree is None:
            from douane_guest.roots import tree_of

            try:
                self._tree = tree_of(self._volume)
            except self._faults.errors as error:
                raise self._faults.incomplete(self.name, error) from error
        return self._tree


class GuestDisk:
    """The disk that the guest sees. `size` is its length in bytes, `format` that of the image (``"qcow2"``)."""

    __slots__ = ("_disk", "_faults", "format", "size")

    def __init__(self, disk: Any, faults: Faults) -> None:
        self._disk = disk
        self._faults = faults
        self.format: str = disk.format
        self.size: int = disk.size

    def pread(self, offset: int, n: int) -> bytes:
        """Return the `n` bytes at `offset`; fewer only at the end of the disk. Raises ValueError for negative ones."""
        if offset < 0 or n < 0:
            raise ValueError(f"pread(offset, n) takes numbers of 0 or more, not {offset!r:.60} and {n!r:.60}")
        n = min(n, self.size - offset)
        if n <= 0:
            return b""
        try:
            data: bytes = self._disk.pread(offset, n)
            return data
        except self._faults.errors as error:
            raise self._faults.incomplete(f"the disk, at byte {offset}", error) from error

    def extents(self) -> Iterator[tuple[int, int, bool]]:
        """Iterate over the disk as ``(offset, length, is_data)``, without gaps. Without `is_data`, it is zeros."""
        end = 0
        try:
            for extent in self._disk.extents():
                if extent.start > end:
                    yield end, extent.start - end, False
                yield extent.start, extent.size, True
                end = extent.start + extent.size
        except self._faults.errors as error:
            raise self._faults.incomplete(f"the disk, at byte {end}", error) from error
        if end < self.size:
            yield end, self.size - end, False


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


class GuestPackage:
    """An installed package; all fields are str.

    `name`; `version`, with epoch and release; `kind`: ``dpkg``, ``rpm``, ``apk``, ``pacman``, ``python``, ``node`` or
    ``gem``; `architecture`, and `source`, the name of the source package if it is another, both empty if the database
    does not tell; `source_version`, the version of the source package if it is another; `origin`, who made the package
    (rpm's vendor, dpkg's origin or maintainer, apk's maintainer, pacman's packager), empty if the database does not
    tell; `path`, the file that says that the package is installed.
    """

    __slots__ = ("architecture", "kind", "name", "origin", "path", "source", "source_version", "version")

    def __init__(self, package: Any) -> None:
        self.name: str = package.name
        self.version: str = package.version
        self.kind: str = PACKAGE_KINDS.get(package.kind, package.kind)
        self.architecture: str = package.arch
        self.source: str = package.source
        self.path: str = package.path
        self.source_version: str = getattr(package, "source_version", "")  # an older douane_guest has none
        self.origin: str = getattr(package, "origin", "")

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} {self.version}>"


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
