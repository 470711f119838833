"""Folders of exFAT: sets of records of 32 bytes, a file, a stream and parts of a name."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from douane_guest.errors import Broken, Unsupported

RECORD = 32
LABEL = 0x83
FILE = 0x85
_STREAM, _NAME = 0xC0, 0xC1
_IN_USE, _SECONDARY, _BENIGN = 0x80, 0x40, 0x20
_BITMAP, CAPITALS = 0x81, 0x82
_NAME_UNITS = 15
_NOT_CHAINED = 2
_FILE_FIELDS = struct.Struct("<BBHH6xHH5xBxB8x")
_STREAM_FIELDS = struct.Struct("<BBxBHxxQ4xIQ")
_ZONE_KNOWN, _ZONE = 0x80, 0x7F


class Ref(NamedTuple):
    """What a set says of an object, and where it lies."""

    place: int
    attributes: int
    mtime_ns: int
    cluster: int
    size: int
    valid: int
    """Bytes that were written; behind them, the file has zeros."""

    chained: bool


class Item(NamedTuple):
    """A file or a folder, with its name in UTF-16."""

    name: bytes
    ref: Ref


def items(records: Iterable[tuple[int, bytes]]) -> Iterator[Item]:
    """The objects of a folder, from its records and their places. A record of zeros ends a folder."""
    waiting = iter(records)
    for place, record in waiting:
        kind = record[0]
        if kind == 0:
            return
        if not kind & _IN_USE or kind in (_BITMAP, CAPITALS, LABEL):
            continue
        if kind == FILE:
            yield _read_set(place, record, waiting)
        elif not kind & (_SECONDARY | _BENIGN):
            raise Unsupported(f"a folder of the exFAT file system has a critical record of the unknown type {kind:#x}")


def _read_set(place: int, first: bytes, records: Iterator[tuple[int, bytes]]) -> Item:
    """A file record and the records that belong to it. Raises Broken if they contradict each other."""
    _, count, checksum, attributes, time, date, centiseconds, zone = _FILE_FIELDS.unpack(first)
    if count < 2:
        raise Broken(f"a file of the exFAT file system has {count} further records")
    rest = [record for _, record in zip(range(count), (data for _, data in records), strict=False)]
    if len(rest) < count or checksum_of([first, *rest]) != checksum:
        raise Broken("the checksum of a file's records in the exFAT file system is wrong")
    _, flags, length, _, valid, cluster, size = _STREAM_FIELDS.unpack(rest[0])
    parts = -(-length // _NAME_UNITS)
    if rest[0][0] != _STREAM or length == 0 or len(rest) < 1 + parts or valid > size:
        raise Broken("the records of a file in the exFAT file system contradict each other")
    if any(record[0] != _NAME for record in rest[1 : 1 + parts]):
        raise Broken("the name of a file in the exFAT file system is incomplete")
    name = b"".join(record[2:] for record in rest[1 : 1 + parts])[: 2 * length]
    mtime = _nanoseconds(date, time, centiseconds, zone)
    return Item(name, Ref(place, attributes, mtime, cluster, size, valid, not flags & _NOT_CHAINED))


def checksum_of(records: list[bytes]) -> int:
    """Of all bytes of a set but the checksum itself."""
    value = 0
    data = b"".join(records)
    for byte in data[:2] + data[4:]:
        value = ((value << 15 | value >> 1) + byte) & 0xFFFF
    return value


def _nanoseconds(date: int, time: int, centiseconds: int, zone: int) -> int:
    """Since 1970; in UTC if the zone is not known, as Linux does."""
    seconds = _days(1980 + (date >> 9), date >> 5 & 15, date & 31) * 86400
    seconds += (time >> 11) * 3600 + (time >> 5 & 63) * 60 + (time & 31) * 2
    if zone & _ZONE_KNOWN:
        quarters = zone & _ZONE
        seconds -= (quarters - 128 if quarters >= 64 else quarters) * 900
    return seconds * 1_000_000_000 + centiseconds * 10_000_000


def _days(year: int, month: int, day: int) -> int:
    """From 1970 to a date of the Gregorian calendar, for any month and day, as mktime64 of Linux counts."""
    month -= 2
    if month <= 0:
        month += 12
        year -= 1
    return year // 4 - year // 100 + year // 400 + 367 * month // 12 + day + year * 365 - 719499
