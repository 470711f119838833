"""Puts files into an empty image of mkudffs, whose tools cannot: on a machine whose kernel has no UDF."""

from __future__ import annotations

import binascii
import struct

from douane_guest.budget import Budget
from douane_guest.filesystems.udf.system import Udf
from douane_guest.source import BytesSource

INSIDE, SHORT = 3, 0
FILE, LINK, FOLDER = 5, 12, 4


def tagged(kind: int, version: int, location: int, body: bytes) -> bytes:
    """A descriptor with its checksums."""
    tag = struct.pack("<HHBxHHHI", kind, version, 0, 0, binascii.crc_hqx(body, 0), len(body), location)
    return tag[:4] + bytes([sum(tag) & 0xFF]) + tag[5:] + body


class Filler:
    """An image, and where the next block is free."""

    def __init__(self, data: bytes, free: int = 600) -> None:
        self.data = bytearray(data)
        self.free = free
        self.system = Udf(BytesSource(data), Budget())
        self.block_size = self.system._volume.block_size
        self.root = self.system.root
        self.names: list[bytes] = []

    def place(self, block: int) -> int:
        [(place, _)] = self.system._partition(self.root[0]).pieces(block, 1)
        return place

    def put(self, block: int, data: bytes) -> None:
        place = self.place(block)
        self.data[place : place + len(data)] = data

    def add(
        self, name: bytes, content: bytes, *, type: int = FILE, ad: int = INSIDE, addresses: bytes = b"", size: int = -1
    ) -> None:
        """An object of the root, whose entry is the next block."""
        block = self.free
        self.free += 1
        self.put(block, self.entry(block, type, ad, addresses or content, len(content) if size < 0 else size))
        self.names.append(self.name(name, block))

    def entry(self, block: int, type: int, ad: int, addresses: bytes, size: int) -> bytes:
        body = bytearray(160 + len(addresses))
        struct.pack_into("<HHHBB", body, 4, 4, 0, 1, 0, type)
        struct.pack_into("<HIIIH", body, 18, ad | 0x40, 7, 8, 0x7 << 10 | 0x5 << 5 | 0x4, 1)
        struct.pack_into("<Q", body, 40, size)
        struct.pack_into("<HhBBBBBBBB", body, 68, 1 << 12 | 60, 2023, 11, 14, 23, 13, 20, 12, 34, 56)
        struct.pack_into("<II", body, 152, 0, len(addresses))
        body[160:] = addresses
        return tagged(261, 2, block, bytes(body))

    def name(self, name: bytes, block: int) -> bytes:
        body = struct.pack("<HBBIIH6xH", 1, 0, len(name), self.block_size, block, self.root[0], 0) + name
        return tagged(257, 2, self.root[1], body + bytes(-(16 + len(body)) % 4))

    def image(self) -> bytes:
        """The image, with a root that has all the names in its entry."""
        content = b"".join(self.names)
        self.put(self.root[1], self.entry(self.root[1], FOLDER, INSIDE, content, len(content)))
        return bytes(self.data)
