"""A small disk image with files, for tests of plugins that look into the guest: ext4, without mkfs, root or a mount.

One block group, no journal, no checksums; each file and folder lies in one piece (an extent). The layout is that of
https://docs.kernel.org/filesystems/ext4/.
"""

from __future__ import annotations

import struct
from typing import Iterable, Mapping, Optional, Union

from ._guest_xattrs import EXT_ATTR, xattr_block

BLOCK = 4096
INODE = 128
MAX_BLOCKS = 8 * BLOCK
"""One group: its bitmap is one block."""

MAX_INODES = 8 * BLOCK
ROOT, FIRST = 2, 11
"""The inodes of the root folder, and of the first other object."""

FOLDER, FILE, LINK = 0o040000, 0o100000, 0o120000
_FILE_TYPES = {FILE: 1, FOLDER: 2, LINK: 7}
_FILETYPE, _EXTENTS = 0x2, 0x40
_EXTENTS_FLAG = 0x80000
_TIME = 1_600_000_000


def guest_image(
    files: Mapping[str, Union[str, bytes]],
    *,
    links: Optional[Mapping[str, str]] = None,
    modes: Optional[Mapping[str, int]] = None,
    xattrs: Optional[Mapping[str, Mapping[str, bytes]]] = None,
) -> bytes:
    """Return a raw disk image with an ext4 file system that holds `files`, by path.

    A text is written as UTF-8. Folders are made as needed. `links` maps paths to the targets of symbolic links, `modes`
    paths to permissions; without them, files have 0o644, folders 0o755. `xattrs` maps paths to extended attributes, by
    whole names (``security.selinux``). All belong to root. A path is from the root folder, with or without a slash; one
    that ends in a slash is an empty folder. With ``/etc/os-release`` the guest has a system. Files may have 100 MiB
    together, and the attributes of an object 4 KiB. Raises ValueError for paths that exclude each other, and beyond
    that.
    """
    root = _Object(FOLDER | 0o755)
    for path, content in files.items():
        if path.endswith("/"):
            root.folder(_names(path))
            continue
        data = content.encode() if isinstance(content, str) else bytes(content)
        root.add(_names(path), _Object(FILE | 0o644, data))
    for path, target in (links or {}).items():
        root.add(_names(path), _Object(LINK | 0o777, target.encode("utf-8", "surrogateescape")))
    for path, mode in (modes or {}).items():
        place = root.at(_names(path))
        place.mode = place.mode & 0o170000 | mode & 0o7777
    for path, attributes in (xattrs or {}).items():
        root.at(_names(path)).xattrs = xattr_block(attributes, BLOCK)
    return _Writer(root).image()


def _names(path: str) -> list[bytes]:
    names = [name.encode("utf-8", "surrogateescape") for name in path.split("/") if name]
    if any(name in (b".", b"..") or len(name) > 255 for name in names):
        raise ValueError(f"{path!r:.100} is no path of a file")
    return names


class _Object:
    """A file, a folder or a link; `number` is its inode."""

    def __init__(self, mode: int, data: bytes = b"") -> None:
        self.mode = mode
        self.data = data
        self.children: dict[bytes, _Object] = {}
        self.xattrs = b""
        """A block."""

        self.number = 0

    @property
    def kind(self) -> int:
        """The bits of `mode` with the kind."""
        return self.mode & 0o170000

    def folder(self, names: list[bytes]) -> _Object:
        """Return the folder at a path below this one, and make what is missing."""
        place = self
        for name in names:
            place = place.children.setdefault(name, _Object(FOLDER | 0o755))
            if place.kind != FOLDER:
                raise ValueError(f"{name!r} is a folder and a file")
        return place

    def add(self, names: list[bytes], child: _Object) -> None:
        """Put an object at a path."""
        if not names or names[-1] in self.folder(names[:-1]).children:
            raise ValueError(f"the path {b'/'.join(names)!r} is there twice")
        self.folder(names[:-1]).children[names[-1]] = child

    def at(self, names: list[bytes]) -> _Object:
        """Return the object at a path."""
        place = self
        for name in names:
            if name not in place.children:
                raise ValueError(f"there is no {b'/'.join(names)!r} to have permissions, or attributes")
            place = place.children[name]
        return place


class _Writer:
    """The blocks of the file system: superblock, group, two bitmaps, inodes, data."""

    def __init__(self, root: _Object) -> None:
        self._data = bytearray()
        objects = [root]
        for parent in objects:  # which grows
            objects += parent.children.values()
        for number, place in enumerate(objects[1:], FIRST):
            place.number = number
        root.number = ROOT
        self._count = max(16, -(-(FIRST + len(objects)) // 32) * 32)
        if self._count > MAX_INODES:
            raise ValueError(f"{len(objects)} files and folders are more than the {MAX_INODES} that fit")
        self._inodes = bytearray(-(-self._count * INODE // BLOCK) * BLOCK)
        self._first_data = 4 + len(self._inodes) // BLOCK
        self._used = {*range(1, FIRST), *[place.number for place in objects]}
        self._compatible = EXT_ATTR if any(place.xattrs for place in objects) else 0
        self._folders = sum(place.kind == FOLDER for place in objects)
        parents = {id(child): parent for parent in objects for child in parent.children.values()}
        for place in objects:
            self._write(place, parents.get(id(place), root).number)

    def _write(self, place: _Object, parent: int) -> None:
        links = 1
        if place.kind == FOLDER:
            links = 2 + sum(child.kind == FOLDER for child in place.children.values())
            place.data = _folder_blocks(place, parent)
        block_map = place.data
        flags = blocks = 0
        if place.kind != LINK or len(place.data) >= 60:
            blocks = -(-len(place.data) // BLOCK)
            start = self._add(place.data)
            flags = _EXTENTS_FLAG
            block_map = struct.pack("<HHHHI", 0xF30A, bool(blocks), 4, 0, 0)
            if blocks:
                block_map += struct.pack("<IHHI", 0, blocks, 0, start)
        attributes = self._add(place.xattrs) if place.xattrs else 0
        blocks += bool(attributes)
        times = (_TIME, _TIME, _TIME, 0)
        fields = struct.pack("<HHI4IHHIII", place.mode, 0, len(place.data), *times, 0, links, blocks * 8, flags, 0)
        at = (place.number - 1) * INODE
        inode = fields + block_map.ljust(60, b"\0") + struct.pack("<II", 0, attributes)
        self._inodes[at : at + INODE] = inode.ljust(INODE, b"\0")

    def _add(self, data: bytes) -> int:
        """Add blocks with `data`, and return the number of the first one."""
        start = self._first_data + len(self._data) // BLOCK
        blocks = -(-len(data) // BLOCK)
        if start + blocks + 8 > MAX_BLOCKS:
            raise ValueError(f"the files have more than the {MAX_BLOCKS * BLOCK >> 20} MiB that fit")
        self._data += data.ljust(blocks * BLOCK, b"\0")
        return start

    def image(self) -> bytes:
        """Return the whole."""
        used_blocks = self._first_data + len(self._data) // BLOCK
        blocks = used_blocks + 8
        free_inodes = self._count - len(self._used)
        superblock = bytearray(1024)
        struct.pack_into("<7I", superblock, 0, self._count, blocks, 0, blocks - used_blocks, free_inodes, 0, 2)
        struct.pack_into("<6I", superblock, 28, 2, MAX_BLOCKS, MAX_BLOCKS, self._count, _TIME, _TIME)
        struct.pack_into("<HHHHHHIIII", superblock, 52, 0, 0xFFFF, 0xEF53, 1, 1, 0, _TIME, 0, 0, 1)
        struct.pack_into("<IHHIII", superblock, 84, FIRST, INODE, 0, self._compatible, _FILETYPE | _EXTENTS, 0)
        superblock[104:120] = bytes(range(16))  # the UUID
        group = struct.pack("<3I4H", 2, 3, 4, blocks - used_blocks, free_inodes, self._folders, 0)
        parts: list[Union[bytes, bytearray]] = [
            (bytes(1024) + superblock).ljust(BLOCK, b"\0"),
            group.ljust(BLOCK, b"\0"),
            _bitmap(range(used_blocks), blocks),
            _bitmap([number - 1 for number in self._used], self._count),
            self._inodes,
            self._data,
            bytes((blocks - used_blocks) * BLOCK),
        ]
        return b"".join(parts)


def _bitmap(used: Iterable[int], count: int) -> bytes:
    """Return a block with a bit for each number in use; those from `count` on, which do not exist, are in use, too."""
    bits = bytearray(b"\xff" * BLOCK)
    numbers = set(used)
    for number in range(count):
        if number not in numbers:
            bits[number // 8] &= ~(1 << number % 8)
    return bytes(bits)


def _folder_blocks(place: _Object, parent: int) -> bytes:
    """Return the entries of a folder; none crosses the end of a block, and the last one of a block reaches it."""
    entries = [(b".", place.number, FOLDER), (b"..", parent, FOLDER)]
    entries += [(name, child.number, child.kind) for name, child in place.children.items()]
    blocks: list[list[bytes]] = [[]]
    room = BLOCK
    for name, number, kind in entries:
        length = -(-(8 + len(name)) // 4) * 4
        if length > room:
            blocks.append([])
            room = BLOCK
        room -= length
        head = struct.pack("<IHBB", number, length, len(name), _FILE_TYPES[kind])
        blocks[-1].append(head + name.ljust(length - 8, b"\0"))
    return b"".join([_filled(block) for block in blocks])


def _filled(entries: list[bytes]) -> bytes:
    *first, last = entries
    start = sum(map(len, first))
    return b"".join(first) + last[:4] + struct.pack("<H", BLOCK - start) + last[6:].ljust(BLOCK - start - 6, b"\0")
