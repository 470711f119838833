"""What all descriptors have: a tag with checksums; strings, times and addresses."""

from __future__ import annotations

import binascii
import calendar
import struct
from typing import NamedTuple

from douane_guest.errors import Broken

TAG = struct.Struct("<HHBxHHHI")
PRIMARY, ANCHOR, POINTER, PARTITION, LOGICAL, TERMINATOR, INTEGRITY = 1, 2, 3, 5, 6, 8, 9
FILE_SET, NAME, MORE_EXTENTS, INDIRECT, FILE, ATTRIBUTES, LONG_FILE = 256, 257, 258, 259, 261, 262, 266
TIMESTAMP = struct.Struct("<HhBBBBBBBB")
LONG_ADDRESS = struct.Struct("<IIH6x")
SIZE_MASK = (1 << 30) - 1
UNSPECIFIED_ZONE = -2047


class Address(NamedTuple):
    """An extent: `kind` 0 is recorded, 1 and 2 read as zeros, 3 holds more extents."""

    kind: int
    size: int
    block: int
    partition: int


def tag_of(block: bytes, location: int | None) -> int:
    """The kind of a descriptor, whose checksums and place are right. Raises Broken."""
    kind, version, checksum, _, crc, length, place = TAG.unpack_from(block)
    if (sum(block[:16]) - block[4]) & 0xFF != checksum or version not in (2, 3):
        raise Broken("a descriptor of the UDF does not have its checksum")
    if length > len(block) - TAG.size or binascii.crc_hqx(block[TAG.size : TAG.size + length], 0) != crc:
        raise Broken(f"a descriptor of the UDF of kind {kind} does not have its CRC")
    if location is not None and place != location:
        raise Broken(f"a descriptor of the UDF says that it is at {place}, and is at {location}")
    return int(kind)


def expect(block: bytes, location: int | None, *kinds: int) -> int:
    """The kind of a descriptor, one of those. Raises Broken."""
    kind = tag_of(block, location)
    if kind not in kinds:
        raise Broken(f"a descriptor of the UDF has kind {kind} instead of {kinds}")
    return kind


def long_address(data: bytes, position: int = 0) -> Address:
    size, block, partition = LONG_ADDRESS.unpack_from(data, position)
    return Address(size >> 30, size & SIZE_MASK, block, partition)


def text(data: bytes) -> bytes:
    """Characters of OSTA CS0 as UTF-8. Raises Broken (and UnicodeError, which the caller turns into it)."""
    if not data:
        return b""
    if data[0] == 8:
        return data[1:].decode("latin-1").encode()
    if data[0] == 16:
        return data[1:].decode("utf-16-be").encode()
    raise Broken(f"a name of the UDF has the compression {data[0]}")


def field_text(field: bytes) -> str:
    """A string in a field whose last byte is its length."""
    return text(field[: min(field[-1], len(field) - 1)]).decode().rstrip("\0")


def nanoseconds(data: bytes, position: int) -> int:
    """A time, 0 for one that is none."""
    zone, year, month, day, hour, minute, second, hundredths, hundreds, micros = TIMESTAMP.unpack_from(data, position)
    if not 1 <= month <= 12 or not 1 <= day <= 31 or not 1 <= year <= 9999:
        return 0
    minutes = zone & 0xFFF
    minutes -= (minutes & 0x800) << 1
    offset = minutes * 60 if zone >> 12 == 1 and minutes != UNSPECIFIED_ZONE else 0
    days = (day - 1) * 86400
    seconds: int = calendar.timegm((year, month, 1, hour, minute, second)) + days - offset
    return seconds * 1_000_000_000 + int((hundredths * 100 + hundreds) * 100 + micros) * 1000
