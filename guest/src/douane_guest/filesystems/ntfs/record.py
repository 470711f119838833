"""Records of files, and the attributes in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.errors import Broken

_HEADER = struct.Struct("<4sHHQHHHHIIQ")
_ATTRIBUTE = struct.Struct("<IIBBHHH")
_RESIDENT = struct.Struct("<IH")
_EXTENDED = struct.Struct("<QQHB5xQQQ")
_STRIDE = 512
_END = b"\xff\xff\xff\xff"
_IN_USE, _FOLDER = 1, 2
NUMBER = (1 << 48) - 1
"""The part of a reference that is a number; the 16 bits above it count how often the record was used."""


class Type:
    """Of attributes. No enumeration: each comparison would take twice as long."""

    STANDARD_INFORMATION = 0x10
    ATTRIBUTE_LIST = 0x20
    FILE_NAME = 0x30
    VOLUME_NAME = 0x60
    VOLUME_INFORMATION = 0x70
    DATA = 0x80
    INDEX_ROOT = 0x90
    INDEX_ALLOCATION = 0xA0
    BITMAP = 0xB0
    REPARSE_POINT = 0xC0
    EA = 0xE0


class Extent(NamedTuple):
    """A part of an attribute that lies outside of the record."""

    first: int
    """Its first cluster within the attribute."""

    pairs: bytes
    """Its runs, packed (`runs.py`)."""

    unit: int
    """Clusters that are compressed together, as a power of two; 0: not compressed."""

    size: int
    valid: int
    """Bytes, and those that were written; both only in the part whose first cluster is 0."""


class Attribute(NamedTuple):
    """One as it stands in a record."""

    type: int
    name: str
    flags: int
    value: bytes | None
    """If it is resident."""

    extent: Extent | None
    instance: int


class Record(NamedTuple):
    """A record in use."""

    number: int
    sequence: int
    base: int
    """The reference of the record that this one continues; 0: none."""

    folder: bool
    attributes: tuple[Attribute, ...]


def restore(data: bytes, magic: bytes) -> bytearray:
    """A record or an index block with the last two bytes of each sector where they belong. Raises Broken for a block
    that was torn: a part of it was not written."""
    if data[:4] != magic:
        raise Broken(f"a block of NTFS begins with {data[:4]!r}, not with {magic!r}")
    place, count = struct.unpack_from("<HH", data, 4)
    if (count - 1) * _STRIDE != len(data) or place + 2 * count > _STRIDE - 2 or place & 1:
        raise Broken("the sequence numbers of a block of NTFS lie outside of their place")
    restored = bytearray(data)
    # The last two bytes of each sector, byte by byte of all sectors at once.
    first, second = data[_STRIDE - 2 :: _STRIDE], data[_STRIDE - 1 :: _STRIDE]
    if first.strip(data[place : place + 1]) or second.strip(data[place + 1 : place + 2]):
        raise Broken("a block of NTFS is torn: its sectors have different sequence numbers")
    restored[_STRIDE - 2 :: _STRIDE] = data[place + 2 : place + 2 * count : 2]
    restored[_STRIDE - 1 :: _STRIDE] = data[place + 3 : place + 2 * count : 2]
    return restored


def parse(data: bytes, number: int) -> Record:
    """The record with a number. Raises Broken for one that is not in use."""
    restored = bytes(restore(data, b"FILE"))
    _, _, _, _, sequence, _, place, flags, used, _, base = _HEADER.unpack_from(restored)
    if not flags & _IN_USE:
        raise Broken(f"record {number} of NTFS is not in use")
    if not _HEADER.size <= place <= used <= len(restored):
        raise Broken(f"the attributes of record {number} of NTFS lie outside of it")
    attributes = tuple(_attributes(restored[:used], place))
    return tuple.__new__(Record, (number, sequence, base, bool(flags & _FOLDER), attributes))


def _attributes(data: bytes, place: int) -> Iterator[Attribute]:
    make, unpack, size = tuple.__new__, _ATTRIBUTE.unpack_from, _ATTRIBUTE.size  # a walk has a million
    while place + size <= len(data) and data[place : place + 4] != _END:
        kind, length, outside, name_length, name_place, flags, instance = unpack(data, place)
        after = place + length
        if length < 24 or length & 7 or after > len(data):
            raise Broken(f"an attribute of NTFS has {length} bytes, more than its record, or too few")
        name = ""
        if name_length:
            start = place + name_place
            if start + 2 * name_length > after:
                raise Broken("the name of an attribute of NTFS lies outside of it")
            name = data[start : start + 2 * name_length].decode("utf-16-le", "surrogatepass")
        if outside:
            yield make(Attribute, (kind, name, flags, None, _extent(data[place:after]), instance))
        else:
            yield make(Attribute, (kind, name, flags, _value(data, place, after), None, instance))
        place = after
    if data[place : place + 4] != _END:
        raise Broken("the attributes of a record of NTFS have no end")


def _value(data: bytes, place: int, after: int) -> bytes:
    length, start = _RESIDENT.unpack_from(data, place + 16)
    if place + start + length > after:
        raise Broken("the value of an attribute of NTFS lies outside of it")
    return data[place + start : place + start + length]


def _extent(body: bytes) -> Extent:
    if len(body) < 64:
        raise Broken("an attribute of NTFS is too short")
    first, _, pairs, unit, _, size, valid = _EXTENDED.unpack_from(body, 16)
    if pairs >= len(body) or (first == 0 and (valid > size or size >= 1 << 63)) or unit > 16:
        raise Broken("the sizes of an attribute of NTFS contradict each other")
    return Extent(first, body[pairs:], unit, size, valid)
