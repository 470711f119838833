"""``image.guest``: thin classes around those of `douane_guest`, so that the contract does not depend on them."""

from __future__ import annotations

import os

from ._exceptions import Incomplete
from ._guest_disk import GuestDisk
from ._guest_entry import GuestEntry, GuestFile
from ._guest_facts import UnreadPart, Volume, part_text
from ._guest_faults import Faults
from ._guest_package import GuestPackage
from ._guest_tree import GuestTree
from ._views import read_only

__all__ = ["Guest", "GuestDisk", "GuestEntry", "GuestFile", "GuestPackage", "GuestRoot", "GuestVolume", "open_guest"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Optional

_List = list
"""A class with a method `list` cannot use the name of the type."""


def open_guest(fd: int, disk_format: Optional[str]) -> Guest:
    """Return the guest in the file of an image. What cannot be read is in `unread`, and that its bytes are of another
    format than `disk_format`, which is what the image is said to be."""
    from douane_guest.errors import GuestError
    from douane_guest.guest import open_guest as open_disk
    from douane_guest.source import FileSource

    position = os.lseek(fd, 0, os.SEEK_CUR)  # that of image.file, which the source moves to learn the size
    source = FileSource(fd)
    os.lseek(fd, position, os.SEEK_SET)
    return Guest(open_disk(source, disk_format=disk_format), GuestError)


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
