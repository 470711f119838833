"""Files in the order of the disk, some thousands at a time, in bounded memory.

As a walk brings them, each in turn would be a seek, and a compressed cluster would be unpacked once for each file in
it.
"""

from __future__ import annotations

import sys
from typing import Generic, NamedTuple, TypeVar

from .errors import GuestError
from .filesystems.base import Node
from .volume import Volume

BATCH_FILES = 8192
BATCH_BYTES = 8 << 20
"""Of the paths and inodes of these files, whose sizes the image decides."""
FILE_BYTES = 512
"""What a file that waits takes beside its path and its inode, about."""

T = TypeVar("T")


class Waiting(NamedTuple, Generic[T]):
    """A file that waits for its turn, and what its caller knows of it."""

    volume: Volume
    disk_place: int
    file: T
    light: Node
    """The object without its detail, unless that is small."""

    is_whole: bool
    """False: the detail of the object was left out."""

    def node(self) -> Node:
        """The object with its detail, read again if it was left out. Raises the exceptions of `errors.py`."""
        return self.light if self.is_whole else self.volume.system.node(self.light.ref)


class Batch(Generic[T]):
    """The files that wait."""

    def __init__(self) -> None:
        self._waiting: list[Waiting[T]] = []
        self._size = 0

    def add(self, volume: Volume, node: Node, path_bytes: int, file: T) -> bool:
        """Let a file wait. True: there are enough, `take` them."""
        try:
            disk_place = volume.system.place(node)
        except GuestError:
            disk_place = 0  # it will fail again when it is read, and be listed then
        is_whole = node.detail is None or isinstance(node.detail, bytes | int)  # others may be of any size
        light = node if is_whole else node._replace(detail=None)
        self._waiting.append(Waiting(volume, disk_place, file, light, is_whole))
        self._size += FILE_BYTES + path_bytes + sys.getsizeof(light.detail)
        return len(self._waiting) >= BATCH_FILES or self._size >= BATCH_BYTES

    def take(self) -> list[Waiting[T]]:
        """The files in the order of the disk, volume after volume; none wait then."""
        waiting = sorted(self._waiting, key=lambda entry: (entry.volume.name, entry.disk_place))
        self._waiting, self._size = [], 0
        return waiting
