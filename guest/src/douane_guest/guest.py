"""A guest: everything that can be read of an image, and the list of what cannot."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from .budget import FILE_BYTES, Budget
from .containers.base import Disk
from .containers.registry import open_disk
from .discovery import Discovery
from .errors import GuestError, Unsupported
from .files import GuestFile
from .packages.base import Package
from .packages.installed import installed_files
from .packages.registry import packages_of
from .roots import find_roots, tree_of
from .source import Source
from .system import system_of
from .tree import Items, Names, Tree
from .unread import UnreadParts
from .volume import Item, Volume

Packages = list[Package]

RAW_DISKS = dict.fromkeys(("iso", "luks", "ami", "aki", "ari"), "raw")
"""Formats whose bytes are those of the disk."""


class Guest:
    """An image, open. Paths are those of the first system in `roots`; `tree` shows any volume by itself."""

    def __init__(self, disk: Disk | None, volumes: list[Volume], budget: Budget, unread: UnreadParts) -> None:
        self.disk = disk
        """None: the container could not be read, and `unread` says why."""

        self.volumes = volumes
        self.unread = unread
        """Grows while files are read."""

        self._budget = budget
        self.roots = find_roots(volumes, unread)

    @property
    def root(self) -> Tree:
        """The first system. Raises FileNotFoundError if there is none."""
        if not self.roots:
            raise FileNotFoundError("no volume of the image holds a system")
        return self.roots[0]

    @property
    def os(self) -> dict[str, str]:
        """The fields of os-release, or the version of Windows by the same names; empty if there is no system."""
        return self.os_of(self.root) if self.roots else {}

    def os_of(self, root: Tree) -> dict[str, str]:
        """The same of one of the `roots`."""
        try:
            return system_of(root, self._budget, self.unread)
        except GuestError as error:
            self.unread.add_error(f"{root.volume.name}: the version of the system", error)
            return {}

    def packages(self, *, everywhere: bool = False) -> Packages:
        """The packages of all systems; those of languages in the folders of the system, and with `everywhere` in any
        folder, which takes a walk over all files."""
        packages: dict[Package, None] = {}
        for root in self.roots:
            packages |= dict.fromkeys(self.packages_of(root, everywhere=everywhere))
        return list(packages)

    def packages_of(self, root: Tree, *, everywhere: bool = False) -> Iterator[Package]:
        """The same of one of the `roots`."""
        return packages_of(root, self._budget, self.unread, everywhere=everywhere)

    def installed_files(self, root: Tree, managers: Collection[str], paths: Collection[str]) -> dict[str, str]:
        """Those of the paths in one of the `roots` that these package managers have installed, with the origins of the
        packages: see :func:`~douane_guest.packages.installed.installed_files`."""
        return installed_files(root, self._budget, self.unread, managers, paths)

    def tree(self, volume: str) -> Tree:
        """A volume by its name, without what the system mounts. Raises KeyError if there is none."""
        return tree_of(volume_named(self.volumes, volume))

    def open(self, path: str) -> GuestFile:
        """See :class:`~douane_guest.tree.Tree`, as for all that follow."""
        return self.root.open(path)

    def read(self, path: str, most: int = FILE_BYTES) -> bytes:
        """All bytes of a file."""
        return self.root.read(path, most)

    def stat(self, path: str, *, follow: bool = True) -> Item:
        """The object at a path."""
        return self.root.stat(path, follow=follow)

    def exists(self, path: str) -> bool:
        """True if the path leads to something."""
        return bool(self.roots) and self.root.exists(path)

    def list(self, path: str = "/") -> Names:
        """The names in a folder."""
        return self.root.list(path)

    def walk(self, path: str = "/") -> Iterator[Item]:
        """Every object below a folder of the first system."""
        return self.root.walk(path)

    def glob(self, pattern: str) -> Items:
        """Objects of the first system whose paths match."""
        return self.root.glob(pattern)

    def walk_volumes(self) -> Iterator[Item]:
        """Every object of every volume once, by its path in the volume: nothing that is read is left out."""
        make = tuple.__new__
        for volume in self.volumes:
            for path, node in volume.walk():
                yield make(Item, (volume, "/" + path.decode("utf-8", "surrogateescape"), node))


def open_guest(source: Source, budget: Budget | None = None, disk_format: str | None = None) -> Guest:
    """Open the file of an image. What cannot be read is in `unread`; this raises nothing of `errors.py`.

    `disk_format` is what the image is said to be, by Glance's words. If its bytes are another one, that is in `unread`,
    too: who starts the virtual machine goes by the word, and shows it another disk than this one.
    """
    budget = budget or Budget()
    budget.bound_delivered(source.size)
    unread = UnreadParts()
    try:
        disk = open_disk(source, budget)
    except GuestError as error:
        unread.add_error("the image", error)
        return Guest(None, [], budget, unread)
    if disk_format is not None and disk.format != RAW_DISKS.get(disk_format.lower(), disk_format.lower()):
        difference = f"the image is said to be {disk_format:.20}, and its bytes are {disk.format}"
        unread.add_error("the image", Unsupported(f"{difference}: the guest may see another disk"))
    discovery = Discovery(budget, unread)
    discovery.explore_disk(disk)
    return Guest(disk, discovery.volumes, budget, unread)


def volume_named(volumes: list[Volume], name: str) -> Volume:
    """The volume with a name. Raises KeyError."""
    for volume in volumes:
        if volume.name == name:
            return volume
    raise KeyError(name)
