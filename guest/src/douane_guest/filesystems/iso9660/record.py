"""Records of folders, and their names."""

from __future__ import annotations

import calendar
import struct
from typing import NamedTuple

from douane_guest.errors import Broken

RECORD = struct.Struct("<BBI4xI4x7sBBB4xB")
SHORTEST = RECORD.size + 1
ASSOCIATED, FOLDER, CONTINUES = 4, 2, 0x80
DATE = struct.Struct("<BBBBBBb")
QUARTER = 15 * 60
LONG_DATE_DIGITS = 16


class Record(NamedTuple):
    """A record; `system` are the bytes behind the name, which Rock Ridge uses."""

    extent: int
    size: int
    mtime: int
    flags: int
    interleaved: bool
    name: bytes
    system: bytes

    @property
    def is_dot(self) -> bool:
        """Whether it is the folder itself, or the one above."""
        return self.name in (b"\0", b"\1")


def record_of(data: bytes) -> Record:
    """The record of exactly these bytes. Raises Broken."""
    if len(data) < SHORTEST:
        raise Broken(f"a record of a folder has {len(data)} bytes")
    _, attributes, extent, size, date, flags, unit, gap, length = RECORD.unpack_from(data)
    end = RECORD.size + length
    if not length or end > len(data):
        raise Broken(f"a name of {length} bytes does not fit in its record of {len(data)} bytes")
    return Record(
        extent=extent + attributes,
        size=size,
        mtime=seconds(date),
        flags=flags,
        interleaved=bool(unit or gap),
        name=data[RECORD.size : end],
        system=data[end + (~length & 1) :],
    )


def seconds(date: bytes) -> int:
    """A time of seven bytes, 0 for one that is none."""
    year, month, day, hour, minute, second, zone = DATE.unpack(date)
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        return 0
    local: int = calendar.timegm((1900 + year, month, 1, hour, minute, second)) + (day - 1) * 86400
    return local - zone * QUARTER if -52 <= zone <= 52 else local


def seconds_of_long(date: bytes) -> int:
    """A time of seventeen bytes: digits, and the time zone."""
    digits = date[:LONG_DATE_DIGITS]
    if not digits.isdigit() or not 1900 <= int(digits[:4]) < 2156:
        return 0
    parts = (int(digits[4:6]), int(digits[6:8]), int(digits[8:10]), int(digits[10:12]), int(digits[12:14]))
    return seconds(bytes([int(digits[:4]) - 1900, *parts, date[LONG_DATE_DIGITS]]))


def plain_name(name: bytes) -> bytes:
    """As Linux shows a name without Rock Ridge and Joliet: small letters, without the version 1 and an empty suffix."""
    for end in (b".;1", b";1"):
        if name.endswith(end):
            name = name[: -len(end)]
            break
    return name.split(b"\0")[0].lower().replace(b";", b".").replace(b"/", b".")


def joliet_name(name: bytes) -> bytes:
    """As Linux shows it: UTF-8, without the version 1 and dots at the end."""
    text = name.decode("utf-16-be").encode().removesuffix(b";1")
    return text[:1] + text[1:].rstrip(b".")
