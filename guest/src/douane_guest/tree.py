"""Paths in a guest: a root folder, the volumes that are mounted below it, and links that are followed inside of it."""

from __future__ import annotations

import errno
import fnmatch
import os
from collections.abc import Iterator
from typing import NamedTuple

from .budget import FILE_BYTES
from .errors import Broken, TooMuch
from .files import GuestFile
from .filesystems.base import FILE, FOLDER, LINK, Node
from .volume import Item, Place, Volume, to_bytes, to_text

MAX_LINKS = 40
"""As in Linux (path_resolution(7))."""
MAX_PARTS = 2048 * (MAX_LINKS + 1)
"""Names in a path, with those of the links on its way: as many as fit in 4096 bytes each, all that Linux takes. With
fewer, a file behind long links would be there for the guest, and not here."""
MAX_TARGET = 4096
"""Bytes of a link's target that is followed."""


MAX_KNOWN = 4096
"""Paths that are kept, so that a folder is not searched again for each file in it."""


Items = list[Item]
Names = list[str]
Parts = list[bytes]
"""A class with a method `list` cannot use the name of the type."""


class Mount(NamedTuple):
    """A folder of a volume that is the root, or is mounted somewhere."""

    volume: Volume
    base: bytes
    """Its path in the volume; `b""` is the root folder of the volume."""

    node: Node


class Step(NamedTuple):
    """A place on the way of a path."""

    path: bytes
    """In the tree."""

    mount: Mount
    node: Node


class Tree:
    """What a system sees below its root. All paths begin at the root, with or without a slash.

    A path that leads nowhere raises FileNotFoundError, NotADirectoryError or IsADirectoryError, and links that lead in
    a circle raise OSError with ELOOP, as the functions of `os` do. Damage raises the exceptions of `errors.py`.
    """

    def __init__(self, root: Mount) -> None:
        self._mounts: dict[bytes, Mount] = {b"": root}
        self._known: dict[bytes, Step] = {}

    @property
    def volume(self) -> Volume:
        """That of the root folder."""
        return self._mounts[b""].volume

    @property
    def mounts(self) -> dict[str, str]:
        """Names of volumes by where they are mounted."""
        return {"/" + to_text(path): mount.volume.name for path, mount in self._mounts.items()}

    def mount(self, path: bytes, mount: Mount) -> None:
        """Show another folder at a path, without a leading slash."""
        self._mounts[path] = mount
        self._known.clear()

    def bind(self, path: bytes, source: str) -> None:
        """Show a folder of this tree at another path, too."""
        step = self._resolve(to_bytes(source), follow=True)
        self.mount(path, Mount(step.mount.volume, in_volume(self._mounts, step), step.node))

    def stat(self, path: str, *, follow: bool = True) -> Item:
        """The object at a path; with `follow` that to which a link leads."""
        step = self._resolve(to_bytes(path), follow)
        return Item(step.mount.volume, "/" + to_text(step.path), step.node)

    def exists(self, path: str) -> bool:
        """True if the path leads to something."""
        try:
            self._resolve(to_bytes(path), follow=True)
        except OSError:
            return False
        return True

    def open(self, path: str) -> GuestFile:
        """The bytes of a file."""
        item = self.stat(path)
        if item.node.kind == FOLDER:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if item.node.kind != FILE:
            raise OSError(errno.ENXIO, "this is a device, a pipe or a socket", path)
        return item.open()

    def read(self, path: str, most: int = FILE_BYTES) -> bytes:
        """All bytes of a file. Raises TooMuch if it is larger than `most`."""
        return self.open(path).read_all(most)

    def list(self, path: str = "/") -> Names:
        """The names in a folder, in the order of the disk. What cannot be read is in `unread`."""
        return [to_text(item.path.rpartition(b"/")[2]) for item in self._children(self._folder(path))]

    def items(self, path: str = "/") -> Items:
        """The objects in a folder."""
        return [
            Item(child.mount.volume, "/" + to_text(child.path), child.node)
            for child in self._children(self._folder(path))
        ]

    def walk(self, path: str = "/") -> Iterator[Item]:
        """Every object below a folder, the folder first, and what is mounted there; links are not followed. What
        cannot be read is in `unread`."""
        for step in self._walk(self._folder(path)):
            yield Item(step.mount.volume, "/" + to_text(step.path), step.node)

    def _walk(self, top: Step) -> Iterator[Step]:
        waiting = [top]
        while waiting:
            top = waiting.pop()
            base = in_volume(self._mounts, top)
            below = {path for path in self._mounts if path not in (b"", top.path) and is_below(path, top.path)}
            hidden = {join(base, path[len(top.path) :].lstrip(b"/")) for path in below}
            for place in top.mount.volume.walk(top.node, base, hidden):
                rest = place.path[len(base) :].lstrip(b"/")
                yield Step(join(top.path, rest), top.mount, place.node)
            # What is mounted in a volume that is mounted here comes with that volume.
            outer = {path for path in below if not any(is_below(path, other) for other in below - {path})}
            waiting += [Step(path, self._mounts[path], self._mounts[path].node) for path in sorted(outer, reverse=True)]

    def glob(self, pattern: str) -> Items:
        """Objects whose path matches, with `*`, `?` and `[...]` inside of names, and `**` for any number of folders.
        Links on the way are followed and not in the paths that come out; those at the end are not followed.
        Names that begin with a dot match as others do."""
        parts = [part for part in to_bytes(pattern).split(b"/") if part]
        steps = {step.path: step for step in self._glob(self._root(), parts)}
        return [Item(step.mount.volume, "/" + to_text(path), step.node) for path, step in sorted(steps.items())]

    def _glob(self, folder: Step, parts: Parts) -> Iterator[Step]:
        if not parts:
            yield folder
            return
        name, rest = parts[0], parts[1:]
        if name == b"**":
            for step in self._walk(folder):
                if not rest:
                    yield step
                elif step.node.kind == FOLDER:
                    yield from self._glob(step, rest)
            return
        if not any(sign in name for sign in (b"*", b"?", b"[")):
            try:
                step = self._resolve(join(folder.path, name), follow=bool(rest))
            except OSError:
                return
            if not rest or step.node.kind == FOLDER:
                yield from self._glob(step, rest)
            return
        for child in list(self._children(folder)):
            if fnmatch.fnmatchcase(to_text(child.path.rpartition(b"/")[2]), to_text(name)):
                yield from self._glob_below(child, rest)

    def _glob_below(self, child: Step, rest: Parts) -> Iterator[Step]:
        if not rest:
            yield child
            return
        if child.node.kind == LINK:
            try:
                child = self._resolve(child.path, follow=True)
            except OSError:
                return
        if child.node.kind == FOLDER:
            yield from self._glob(child, rest)

    def _root(self) -> Step:
        return Step(b"", self._mounts[b""], self._mounts[b""].node)

    def _folder(self, path: str) -> Step:
        step = self._resolve(to_bytes(path), follow=True)
        if step.node.kind != FOLDER:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return step

    def _children(self, folder: Step) -> Iterator[Step]:
        base = in_volume(self._mounts, folder)
        for place in folder.mount.volume.items(Place(base, folder.node)):
            path = join(folder.path, place.path.rpartition(b"/")[2])
            mount = self._mounts.get(path)
            yield Step(path, mount, mount.node) if mount else Step(path, folder.mount, place.node)

    def _resolve(self, path: bytes, follow: bool) -> Step:
        """Go along a path: "..", links that are absolute or not, never above the root, 40 links at most."""
        parts = path.split(b"/")[::-1]
        steps = [self._root()]
        links = 0
        visits = 0
        while parts:
            visits += 1
            if visits > MAX_PARTS:
                raise TooMuch(f"the path {to_text(path[:200])!r} has more than {MAX_PARTS} names")
            name = parts.pop()
            if steps[-1].node.kind != FOLDER:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), to_text(path))
            if name in (b"", b"."):
                continue
            if name == b"..":
                steps = steps[:-1] or steps
                continue
            step = self._child(steps[-1], name, path)
            if step.node.kind == LINK and (follow or any(parts)):
                links += 1
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), to_text(path))
                target = self._target(step)
                steps = steps[:1] if target.startswith(b"/") else steps
                parts += target.split(b"/")[::-1]
                continue
            steps.append(step)
        return steps[-1]

    def _child(self, folder: Step, name: bytes, path: bytes) -> Step:
        place = join(folder.path, name)
        mount = self._mounts.get(place)
        if mount is not None:
            return Step(place, mount, mount.node)
        step = self._known.get(place)
        if step is not None:
            return step
        node = folder.mount.volume.child(folder.node, name)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), to_text(path))
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[place] = Step(place, folder.mount, node)
        return self._known[place]

    @staticmethod
    def _target(step: Step) -> bytes:
        if step.node.size > MAX_TARGET:
            raise TooMuch(f"a link has a target of {step.node.size} bytes")
        target = step.mount.volume.target(step.node)
        if not target:
            raise Broken("a link has an empty target")
        return target


def in_volume(mounts: dict[bytes, Mount], step: Step) -> bytes:
    """The path of a step in its volume."""
    at = max((path for path, mount in mounts.items() if mount is step.mount and is_below(step.path, path)), key=len)
    return join(step.mount.base, step.path[len(at) :].lstrip(b"/"))


def is_below(path: bytes, folder: bytes) -> bool:
    """True for the folder itself as well."""
    return not folder or path == folder or path.startswith(folder + b"/")


def join(folder: bytes, name: bytes) -> bytes:
    """Two parts of a path, each of which may be empty."""
    return folder + b"/" + name if folder and name else folder or name


def try_read(tree: Tree, path: str, most: int) -> bytes | None:
    """The bytes of a file, None if there is no such file. Damage raises."""
    try:
        return tree.read(path, most)
    except OSError:
        return None
