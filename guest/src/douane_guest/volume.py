"""A volume: a file system in its place on the disk; and what its folders hold."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

from .budget import Budget
from .errors import Broken, GuestError, TooMuch
from .files import GuestFile
from .filesystems.base import BATCH, FOLDER, LINK, Children, Entry, FileSystem, Node, nodes_of
from .filesystems.folding import Key
from .names import are_sound, check_name
from .seen import Seen
from .source import Source
from .unread import UnreadParts

MAX_WAITING = 256
"""Folders of a level that a walk keeps until it lists them."""


class Place(NamedTuple):
    """An object with its path in the volume: `b""` is the root folder, others have no leading slash."""

    path: bytes
    node: Node


class Item(NamedTuple):
    """An object of a guest."""

    volume: Volume
    path: str
    """From the root of its tree, with a leading slash; other bytes than UTF-8 by surrogateescape."""

    node: Node

    def open(self) -> GuestFile:
        """The bytes of a file."""
        return self.volume.open_node(self.node)

    @property
    def link(self) -> str | None:
        """The target of a link, None for anything else."""
        return to_text(self.volume.target(self.node)) if self.node.kind == LINK else None


class Volume:
    """A file system: `name` is the place (``disk``, ``p1``, ``vg/lv``, ``md/0``)."""

    def __init__(self, name: str, source: Source, system: FileSystem, budget: Budget, unread: UnreadParts) -> None:
        self.name = name
        self.source = source
        self.system = system
        self.size = source.size
        self._budget = budget
        self._unread = unread
        self.partition_uuid = ""
        self.partition_label = ""
        # What `base.Folding` and `base.Batches` have, and most file systems have not.
        self._key_of: Callable[[Node], Key | None] | None = getattr(system, "key", None)
        self._lists_every_case = getattr(system, "lists_every_case", False)
        self._read_children: Callable[[Node], Iterator[Children] | None] | None = getattr(system, "children", None)
        self._read_nodes: Callable[[list[Any]], list[Node | GuestError]] = getattr(system, "nodes", self._read_each)
        for part in system.unread:
            unread.add(f"{name}: {part.where}" if part.where else name, part.code, part.why)

    @property
    def filesystem(self) -> str:
        """The kernel's word: ``ext4``."""
        return self.system.name

    @property
    def uuid(self) -> str:
        """As blkid shows it."""
        return self.system.uuid

    @property
    def label(self) -> str:
        """Of the file system."""
        return self.system.label

    @property
    def clean(self) -> bool:
        """False: it was not unmounted."""
        return self.system.clean

    @property
    def top(self) -> Any:
        """The ref of the folder below which everything is. For btrfs the top level, which may be above the default
        subvolume: a walk that began at that one would miss the others."""
        subvolumes = getattr(self.system, "subvolumes", None)
        return self.system.root if subvolumes is None else next(iter(subvolumes())).ref

    @property
    def default(self) -> bytes:
        """The path of the folder that is mounted if nothing else is said."""
        subvolumes = getattr(self.system, "subvolumes", None)
        for subvolume in () if subvolumes is None else subvolumes():
            if subvolume.ref == self.system.root:
                path: bytes = subvolume.path
                return path
        return b""

    def open_node(self, node: Node) -> GuestFile:
        """The bytes of a file."""
        return GuestFile(self.system, node, self._budget)

    def target(self, node: Node) -> bytes:
        """Where a link leads."""
        return self.system.target(node)

    def child(self, folder: Node, name: bytes) -> Node | None:
        """The object that the guest finds by a name, None if there is none. Raises Broken if it could be one of
        several: names that are there twice, or that are the same where case is ignored."""
        key = self._key(folder)
        names = getattr(self.system, "names", None)
        entries: Iterable[Entry] = self.system.entries(folder) if names is None else names(folder, name)
        wanted = name if key is None else key(name)
        matches = []
        for entry in entries:
            self._budget.step()
            if (entry.name if key is None else key(entry.name)) == wanted and entry.ref not in matches:
                matches.append(entry.ref)
        if len(matches) > 1:
            raise Broken(f"a folder has the name {name!r} twice")
        return self.system.node(matches[0]) if matches else None

    def _key(self, folder: Node) -> Key | None:
        return None if self._key_of is None else self._key_of(folder)

    def walk(
        self, top: Node | None = None, path: bytes = b"", without: Container[bytes] = frozenset()
    ) -> Iterator[Place]:
        """Every object below a folder, the folder first; each folder once. What cannot be read is listed as unread,
        and the walk goes on. `without`: paths that are left out with all that is below them."""
        try:
            top = self.system.node(self.top) if top is None else top
        except GuestError as error:
            self._unread.add_error(self.place(path), error)
            return
        if top.kind != FOLDER:
            self._unread.add(self.place(path), Broken.code, f"a {top.kind} is in the place of a folder")
            return
        visited = Seen()
        visited.add(top.ref)
        yield Place(path, top)
        # Folders whose listing goes on, and behind each those that it has named. A folder with a million of them goes
        # on when those that were named are done: never more than MAX_WAITING are kept for a level.
        waiting = [(self.items(Place(path, top)), path, 0)]
        while waiting:
            listing, path, depth = waiting[-1]
            if depth >= self._budget.depth:
                self._unread.add(self.place(path), TooMuch.code, f"the folder lies deeper than {depth} folders")
                waiting.pop()
                continue
            below = []
            for item in listing:
                path, node = item
                if without and path in without:
                    continue
                if node.kind == FOLDER:
                    if not visited.add(node.ref):
                        self._unread.add(self.place(path), Broken.code, "the folder is in two folders, or in itself")
                        continue
                    below.append((self.items(item), path, depth + 1))
                yield item
                if len(below) >= MAX_WAITING:
                    break
            else:
                waiting.pop()
            waiting += reversed(below)

    def items(self, folder: Place) -> Iterator[Place]:
        """The objects in a folder that can be read; the others are listed as unread."""
        return chain.from_iterable(self._places(folder))

    def _places(self, folder: Place) -> Iterator[list[Place]]:
        """The same, some at a time."""
        above = folder.path + b"/" if folder.path else b""
        seen, make = Seen(), tuple.__new__
        try:
            key = None if self._lists_every_case else self._key(folder.node)
            for names, nodes in self._children(folder.node):
                if key is None and are_sound(names) and set(map(type, nodes)) == {Node} and seen.add_all(names):
                    yield [make(Place, (above + name, node)) for name, node in zip(names, nodes, strict=True)]
                    continue
                for name, node in zip(names, nodes, strict=True):
                    try:
                        check_name(name)
                        if not seen.add(name if key is None else key(name)):
                            raise Broken(f"the folder has the name {name!r} twice")
                        if isinstance(node, GuestError):
                            raise node
                    except TooMuch:
                        raise
                    except GuestError as error:
                        self._unread.add_error(self.place(above + name), error)
                        continue
                    yield [Place(above + name, node)]
        except GuestError as error:
            self._unread.add_error(self.place(folder.path), error)

    def _children(self, folder: Node) -> Iterator[Children]:
        """The names in a folder and their objects."""
        batches = None if self._read_children is None else self._read_children(folder)
        if batches is not None:
            for names, nodes in batches:
                self._budget.entry(len(names))
                yield names, nodes
            return
        for entries in _batches(self.system.entries(folder)):
            self._budget.entry(len(entries))
            yield [name for name, _ in entries], self._read_nodes([ref for _, ref in entries])

    def _read_each(self, refs: list[Any]) -> list[Node | GuestError]:
        return nodes_of(self.system.node, refs)

    def place(self, path: bytes) -> str:
        """Where something is, for `unread`."""
        return f"{self.name}:/{to_text(path)}"


def _batches(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    """Up to BATCH entries at once. Those before damage come before its exception."""
    while True:
        batch: list[Entry] = []
        try:
            batch.extend(islice(entries, BATCH))
        except GuestError:
            if batch:
                yield batch
            raise
        if batch:
            yield batch
        if len(batch) < BATCH:
            return


def to_text(path: bytes) -> str:
    """Bytes of the guest as text."""
    return path.decode("utf-8", "surrogateescape")


def to_bytes(path: str) -> bytes:
    """Text as bytes of the guest."""
    return path.encode("utf-8", "surrogateescape")
