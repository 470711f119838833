"""A listing of a guest, as lines: an object in JSON for programs, a row like that of ls(1) for people.

``douane ls`` and ``python -m douane_guest IMAGE ls`` print these lines.
"""

from __future__ import annotations

import hashlib
import json
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from .disk_order import Batch, Waiting
from .errors import GuestError
from .filesystems.base import BLOCK, CHAR, FILE, FOLDER, KINDS, Unread
from .guest import Guest
from .tree import Tree
from .volume import Item

MAX_LINKED = 65_536
"""Digests that are kept for other names of the same file."""

_TYPES = {kind: bits for bits, kind in KINDS.items()}
_NANOSECONDS = 1_000_000_000


class Request(NamedTuple):
    """What is to be listed."""

    path: str | None = None
    """In the system, or in `volume`; None: all volumes."""

    volume: str | None = None
    recursive: bool = False
    digest: bool = False
    """With the SHA-256 of files."""


class Line(NamedTuple):
    """An object of a guest, and the digest of a file if it was requested and could be taken."""

    item: Item
    sha256: str | None = None
    link: str | None = None


def listing(guest: Guest, request: Request, alive: Callable[[], None] = lambda: None) -> Iterator[Line]:
    """The objects; what cannot be read is in `guest.unread`, which is complete after the last of them.

    Without digests they come as a walk meets them; with digests files come in the order of the disk. `alive` is
    called while a large file is read. Raises the errors of `os` if there is no such path or volume, before the first.
    """
    items = _items(guest, request)
    if request.digest:
        yield from _digested(guest, items, alive)
        return
    for item in items:
        yield Line(item) if item.node.kind == FILE else _with_link(guest, item)


def _with_link(guest: Guest, item: Item) -> Line:
    try:
        return Line(item, link=item.link)
    except GuestError as error:
        guest.unread.add_error(f"{item.volume.name}:{item.path}", error)
        return Line(item)


def _digested(guest: Guest, items: Iterable[Item], alive: Callable[[], None]) -> Iterator[Line]:
    """Files with their digests, in the order of the disk as far as a batch reaches."""
    digests = _Digests(guest, alive)
    batch: Batch[str] = Batch()
    for item in items:
        if item.node.kind != FILE:
            yield _with_link(guest, item)
        elif batch.add(item.volume, item.node, len(item.path), item.path):
            yield from map(digests.line, batch.take())
    yield from map(digests.line, batch.take())


def tree_of(guest: Guest, volume: str | None) -> Tree:
    """The system, or a volume by its name. Raises FileNotFoundError."""
    if volume is None:
        return guest.root
    try:
        return guest.tree(volume)
    except KeyError:
        names = ", ".join(other.name for other in guest.volumes[:20]) or "none"
        raise FileNotFoundError(f"the image has no volume {volume!r}; its volumes: {names}") from None


def _items(guest: Guest, request: Request) -> Iterator[Item]:
    if request.path is None and request.volume is None:
        return _items_of_volumes(guest, request.recursive)
    tree = tree_of(guest, request.volume)
    path = request.path or "/"
    item = tree.stat(path)
    if item.node.kind != FOLDER:
        return iter((item,))
    return tree.walk(path) if request.recursive else iter(tree.items(path))


def _items_of_volumes(guest: Guest, recursive: bool) -> Iterator[Item]:
    for volume in guest.volumes:
        try:
            tree = guest.tree(volume.name)
            yield from tree.walk() if recursive else tree.items()
        except GuestError as error:
            guest.unread.add_error(volume.name, error)


class _Digests:
    """The digests of files; one that has several names is read once."""

    def __init__(self, guest: Guest, alive: Callable[[], None]) -> None:
        self._guest = guest
        self._alive = alive
        self._linked: dict[object, str] = {}

    def line(self, waiting: Waiting[str]) -> Line:
        """A file, with its digest if it can be read."""
        item = Item(waiting.volume, waiting.file, waiting.light)
        try:
            return Line(item, sha256=self._of(waiting))
        except GuestError as error:
            self._guest.unread.add_error(f"{item.volume.name}:{item.path}", error)
            return Line(item)

    def _of(self, waiting: Waiting[str]) -> str:
        node = waiting.light
        key = (waiting.volume.name, node.ref) if node.links > 1 else None
        if key is not None and key in self._linked:
            return self._linked[key]
        digest = _AliveDigest(self._alive)
        waiting.volume.open_node(waiting.node()).add_to(digest)
        value = digest.hexdigest()
        if key is not None:
            if len(self._linked) >= MAX_LINKED:
                self._linked.clear()
            self._linked[key] = value
        return value


class _AliveDigest:
    """SHA-256 that calls a function for each piece."""

    def __init__(self, alive: Callable[[], None]) -> None:
        digest = hashlib.sha256()
        self._update = digest.update
        self._alive = alive
        self.hexdigest = digest.hexdigest

    def update(self, data: bytes) -> None:
        """See hashlib."""
        self._update(data)
        self._alive()


def as_json(line: Line) -> bytes:
    """An object on a line, in ASCII: bytes of a name that are no UTF-8 are lone surrogates (surrogateescape)."""
    item, node = line.item, line.item.node
    entry: dict[str, object] = {
        "volume": item.volume.name,
        "path": item.path,
        "kind": node.kind,
        "mode": node.mode,
        "uid": node.uid,
        "gid": node.gid,
        "size": node.size,
        "mtime_ns": node.mtime_ns,
    }
    if line.link is not None:
        entry["link"] = line.link
    if line.sha256 is not None:
        entry["sha256"] = line.sha256
    return json.dumps(entry).encode() + b"\n"


def unread_as_json(part: Unread) -> bytes:
    """The line of a part that could not be read."""
    return json.dumps({"unread": part.where, "code": part.code, "why": part.why}).encode() + b"\n"


def as_row(line: Line, *, digest: bool) -> bytes:
    """A row for people. A name with a newline, another control character, or bytes that are no UTF-8 is quoted."""
    item, node = line.item, line.item.node
    size = str(node.size)
    if node.kind in (CHAR, BLOCK) and node.device is not None:
        size = f"{node.device[0]},{node.device[1]}"
    owner = f"{node.uid}:{node.gid}"
    words = [stat.filemode(_TYPES[node.kind] | node.mode), f"{owner:<11}", f"{size:>12}", _time(node.mtime_ns)]
    if digest:
        words.append(f"{line.sha256 or '-':<64}")
    target = "" if line.link is None else f" -> {quoted(line.link)}"
    return " ".join([*words, f"{item.volume.name}:{quoted(item.path)}{target}"]).encode() + b"\n"


def quoted(text: str) -> str:
    """A name as it is, or as a string of JSON if a terminal could not show it as it is."""
    return text if text.isprintable() else json.dumps(text)


def _time(nanoseconds: int) -> str:
    seconds = nanoseconds // _NANOSECONDS
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):
        return f"{seconds:>16}"
