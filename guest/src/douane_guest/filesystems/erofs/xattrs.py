"""Extended attributes: behind the inode, and those that several inodes share."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.filesystems.ext.attributes import PREFIXES

HEAD = struct.Struct("<IB7x")
ENTRY = struct.Struct("<BBH")
NAMES = {index: PREFIXES[index] for index in range(1, 7)}
"""The numbers are those of ext4 (EROFS_XATTR_INDEX_* in erofs_fs.h)."""

LONG_PREFIX = 0x80

Read = Callable[[int, int], bytes]


def entry_at(data: bytes, position: int, prefix: Callable[[int], bytes]) -> tuple[bytes, bytes, int]:
    """Name and value of an attribute, and the position behind it. Raises Broken."""
    length, index, size = ENTRY.unpack_from(data, position)
    position += ENTRY.size
    end = position + length + size
    if end > len(data):
        raise Broken("an extended attribute of the erofs lies beyond its list")
    return prefix(index) + data[position : position + length], data[position + length : end], end + -end % 4


def inline_entries(data: bytes, prefix: Callable[[int], bytes], budget: Budget) -> Iterator[tuple[bytes, bytes]]:
    """Those behind an inode."""
    _, shared = HEAD.unpack_from(data)
    position = HEAD.size + 4 * shared
    while position + ENTRY.size <= len(data):
        budget.step()
        name, value, position = entry_at(data, position, prefix)
        yield name, value


def shared_entries(
    data: bytes, start: int, read: Read, prefix: Callable[[int], bytes], budget: Budget
) -> Iterator[tuple[bytes, bytes]]:
    """Those of a list of numbers; `start`: where the shared ones begin."""
    _, shared = HEAD.unpack_from(data)
    if HEAD.size + 4 * shared > len(data):
        raise Broken("an inode of the erofs shares more extended attributes than fit in its list")
    for number in struct.unpack_from(f"<{shared}I", data, HEAD.size):
        budget.step()
        place = start + 4 * number
        length, _, size = ENTRY.unpack(read(place, ENTRY.size))
        name, value, _ = entry_at(read(place, ENTRY.size + length + size), 0, prefix)
        yield name, value


def long_prefixes(count: int, start: int, read: Read) -> list[bytes]:
    """The table of prefixes that the file system defines itself."""
    prefixes = []
    for _ in range(count):
        size = int.from_bytes(read(start, 2), "little")
        if not size:
            raise Broken("a prefix of extended attributes of the erofs is empty")
        data = read(start + 2, size)
        prefixes.append(short_prefix(data[0]) + data[1:])
        start += 2 + size
        start += -start % 4
    return prefixes


def short_prefix(index: int) -> bytes:
    """Raises Broken for one that is not known."""
    if index not in NAMES:
        raise Broken(f"an extended attribute of the erofs has kind {index}")
    return NAMES[index]
