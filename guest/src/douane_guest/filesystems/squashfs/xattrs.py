"""Extended attributes: lists of names and values in metadata blocks, shared by inodes."""

from __future__ import annotations

import struct

from douane_guest.budget import AttributeRoom, Budget
from douane_guest.errors import Broken
from douane_guest.source import Source

from .metadata import Metadata, Table

HEAD = struct.Struct("<QII")
LIST = struct.Struct("<QII")
NAME = struct.Struct("<HH")
REFERENCE = struct.Struct("<Q")
ELSEWHERE = 0x100
PREFIXES = {0: b"user.", 1: b"trusted.", 2: b"security."}
LONGEST_VALUE = 65_536


class Xattrs:
    """The table of a file system."""

    def __init__(self, source: Source, metadata: Metadata, start: int, budget: Budget) -> None:
        self._metadata = metadata
        self._budget = budget
        self._values, lists, _ = HEAD.unpack(source.pread(start, HEAD.size))
        self._lists = Table(source, metadata, start + HEAD.size, lists, LIST)

    def read(self, number: int) -> dict[bytes, bytes]:
        """The attributes of a list, by their whole names."""
        reference, count, _ = self._lists[number]
        start, offset = self._values + (reference >> 16), reference & 0xFFFF
        attributes: dict[bytes, bytes] = {}
        room = AttributeRoom()
        for _ in range(count):
            self._budget.step()
            data, start, offset = self._metadata.read(start, offset, NAME.size)
            kind, length = NAME.unpack(data)
            name, start, offset = self._metadata.read(start, offset, length)
            value, start, offset = self._value(start, offset)
            if kind & ELSEWHERE:
                (reference,) = REFERENCE.unpack(value)
                value, _, _ = self._value(self._values + (reference >> 16), reference & 0xFFFF)
            name = PREFIXES.get(kind & 0xFF, b"") + name
            if kind & 0xFF not in PREFIXES or name in attributes:
                raise Broken(f"an extended attribute has kind {kind}, or its name comes twice")
            room.take(len(name) + len(value))
            attributes[name] = value
        return attributes

    def _value(self, start: int, offset: int) -> tuple[bytes, int, int]:
        data, start, offset = self._metadata.read(start, offset, 4)
        count = int.from_bytes(data, "little")
        if count > LONGEST_VALUE:
            raise Broken(f"an extended attribute has {count} bytes")
        return self._metadata.read(start, offset, count)
