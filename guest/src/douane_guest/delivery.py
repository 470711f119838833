"""Every file of an image once, in the order of the disk, as a stream of events: all bytes of all files in one pass.

::

    VolumeSeen*  (Entry [(Data | Hole)* EndOfFile])*  End          with Unread anywhere between them

Regular files have bytes and an end, unless they are a later name of a file that was delivered (`Entry.same_as`).
An event is valid until the next one is asked for. Memory does not grow with the image: files are sorted in batches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from .disk_order import Batch, Waiting
from .errors import Broken, GuestError, TooMuch
from .files import ZEROS
from .filesystems.base import FILE, LINK, Node, Unread
from .guest import Guest
from .volume import Place, Volume

LINKED_FILES = 65536
LINKED_BYTES = 8 << 20
"""Files with several names whose first name is kept. Those beyond are delivered again: nothing is left out."""

MAX_SIZE = (1 << 63) - 1
"""Of a file, as off_t has it."""
MAX_LINK = 64 << 10
"""Bytes of a link's target that are delivered; Linux follows 4096 at most."""
ALIVE_BYTES = 256 << 20
"""Of zeros that are hashed between two calls of `alive`."""

LEAST_DELIVERED = 1 << 30
DELIVERED_RATIO = 8
"""Bytes of files for a byte of the disk. More are extents that files share, or a file system that compresses better
than squashfs does with anything but zeros."""

ZEROS_RATIO = 1
"""Bytes of holes that are hashed for a byte of the disk."""


class VolumeSeen(NamedTuple):
    """A volume. All of them come before the first entry."""

    volume: Volume


class Entry(NamedTuple):
    """An object of a volume."""

    volume: Volume
    path: bytes
    """From the root folder of the volume, with a leading slash."""

    node: Node
    link: bytes | None = None
    """The target of a link; None if it could not be read as well."""

    same_as: bytes | None = None
    """The path of the first name of this file, whose bytes were delivered with it."""


class Data(NamedTuple):
    """Bytes of the file, at most 1 MiB."""

    data: memoryview


class Hole(NamedTuple):
    """Zeros of the file."""

    length: int


class EndOfFile(NamedTuple):
    """The file is complete."""

    digest: bytes | None
    """SHA-256 of its bytes. None: they, or all zeros of its holes, could not be read, and an `Unread` says why."""


class End(NamedTuple):
    """There is no more."""

    entries: int
    unread: int


Event = VolumeSeen | Entry | Data | Hole | EndOfFile | Unread | End


class Bounds(NamedTuple):
    """What is delivered at most."""

    delivered: int
    """Bytes of files."""

    zeros: int
    """Bytes of holes that are hashed."""


def bounds_of(guest: Guest, delivered: int | None = None) -> Bounds:
    """The bounds for a disk; not more than `delivered`, if that is given."""
    size = guest.disk.size if guest.disk is not None else 0
    bounds = Bounds(max(LEAST_DELIVERED, DELIVERED_RATIO * size), max(LEAST_DELIVERED, ZEROS_RATIO * size))
    return bounds if delivered is None else Bounds(*(min(bound, delivered) for bound in bounds))


def deliver(guest: Guest, bounds: Bounds | None = None, alive: Callable[[], None] | None = None) -> Iterator[Event]:
    """All events of a guest. Raises nothing of `errors.py`: what cannot be read is an event.

    `alive` is called now and then while there is work and no event."""
    return Delivery(guest, bounds or bounds_of(guest), alive).events()


class Delivery:
    """One pass over a guest."""

    def __init__(self, guest: Guest, bounds: Bounds, alive: Callable[[], None] | None = None) -> None:
        self._guest = guest
        self._alive = alive
        self._delivered = bounds.delivered
        self._zeros = bounds.zeros
        self._reported = 0
        self._entries = 0

    def events(self) -> Iterator[Event]:
        """See :func:`deliver`."""
        yield from self._news()
        for volume in self._guest.volumes:
            yield VolumeSeen(volume)
        for volume in self._guest.volumes:
            yield from self._volume(volume)
        yield from self._news()
        yield End(self._entries, len(self._guest.unread))

    def _news(self) -> Iterator[Event]:
        """What has become known as unread since the last call."""
        unread = self._guest.unread
        if len(unread) > self._reported:
            parts = list(islice(unread, self._reported, None))
            self._reported += len(parts)
            yield from parts

    def _volume(self, volume: Volume) -> Iterator[Event]:
        names = Names()
        batch: Batch[bytes] = Batch()
        for place in volume.walk():
            if place.node.kind != FILE:
                yield from self._other(volume, place)
                continue
            if place.node.size > MAX_SIZE:
                self._guest.unread.add(volume.place(place.path), TooMuch.code, f"the file has {place.node.size} bytes")
                continue
            if batch.add(volume, place.node, len(place.path), place.path):
                yield from self._files(volume, batch.take(), names)
        yield from self._files(volume, batch.take(), names)

    def _other(self, volume: Volume, place: Place) -> Iterator[Event]:
        """A folder, a link, a device."""
        link = None
        if place.node.kind == LINK:
            try:
                link = _target(volume, place.node)
            except GuestError as error:
                self._guest.unread.add_error(volume.place(place.path), error)
        yield from self._news()
        self._entries += 1
        yield Entry(volume, b"/" + place.path, place.node, link)

    def _files(self, volume: Volume, files: list[Waiting[bytes]], names: Names) -> Iterator[Event]:
        for waiting in files:
            yield from self._news()
            self._entries += 1
            path = b"/" + waiting.file
            first = names.first(waiting.light, path)
            yield Entry(volume, path, waiting.light, same_as=first)
            if first is None:
                yield from self._file(volume, waiting)

    def _file(self, volume: Volume, waiting: Waiting[bytes]) -> Iterator[Event]:
        """The bytes of a file, and its end."""
        hasher = hashlib.sha256()
        digest = None
        try:
            node = waiting.node()
            if node.size != waiting.light.size:
                raise Broken("a file has another size when it is read again")
            is_hashed = True
            position = 0
            self._count(0)  # Nothing is read of any file once the bound was reached.
            for offset, data in volume.open_node(node).chunks():
                if offset > position:
                    is_hashed = is_hashed and self._hash_zeros(hasher, offset - position)
                    yield Hole(offset - position)
                self._count(len(data))
                if is_hashed:
                    hasher.update(data)
                yield Data(memoryview(data))
                position = offset + len(data)
            if node.size > position:
                is_hashed = is_hashed and self._hash_zeros(hasher, node.size - position)
                yield Hole(node.size - position)
            if not is_hashed:
                raise TooMuch(f"the file has {node.size} bytes, with more zeros in its holes than are hashed")
            digest = hasher.digest()
        except GuestError as error:
            self._guest.unread.add_error(volume.place(waiting.file), error)
        yield from self._news()
        yield EndOfFile(digest)

    def _count(self, count: int) -> None:
        self._delivered -= count
        if self._delivered < 0:
            raise TooMuch("the files of the image have more bytes than the bound allows; this one was not read whole")

    def _hash_zeros(self, hasher: Any, count: int) -> bool:
        """False, without an effect, if there are too many."""
        if count > self._zeros:
            return False
        self._zeros -= count
        while count > 0:
            if count % ALIVE_BYTES < len(ZEROS) and self._alive is not None:
                self._alive()
            hasher.update(ZEROS[:count] if count < len(ZEROS) else ZEROS)
            count -= len(ZEROS)
        return True


def _target(volume: Volume, node: Node) -> bytes:
    if node.size > MAX_LINK:
        raise TooMuch(f"the link has a target of {node.size} bytes")
    target = volume.target(node)
    if len(target) > MAX_LINK:
        raise TooMuch(f"the link has a target of {len(target)} bytes")
    return target


class Names:
    """The first names of the files of a volume that have several."""

    def __init__(self) -> None:
        self._names: dict[Any, tuple[bytes, int]] = {}
        self._bytes = 0

    def first(self, node: Node, path: bytes) -> bytes | None:
        """The first name of a file, None if `path` is the first, or the file was delivered too long ago to know."""
        if node.links < 2:
            return None
        kept = self._names.get(node.ref)
        if kept is None:
            if len(self._names) < LINKED_FILES and self._bytes + len(path) <= LINKED_BYTES:
                self._names[node.ref] = (path, node.links - 1)
                self._bytes += len(path)
            return None
        name, missing = kept
        if missing > 1:
            self._names[node.ref] = (name, missing - 1)
        else:
            del self._names[node.ref]
            self._bytes -= len(name)
        return name
