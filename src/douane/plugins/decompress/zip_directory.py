"""The end of a zip, where most programs begin to read: it must tell of the one file that was unpacked."""

from __future__ import annotations

import stat
from dataclasses import dataclass

from douane_plugin import Reject

from .rules import truncated, unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .source import Source

_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END64, _LOCATOR64 = b"PK\x06\x06", b"PK\x06\x07"
_SIGNATURE, _EXTRA_DATA = b"PK\x05\x05", b"PK\x06\x08"
_ZIP64_EXTRA = 1
_UNIX = 3
_MANY = "the zip holds more than one file, and one is the image; pack the image alone"


@dataclass
class Member:
    """The file in a zip, as its local header has it and as it was unpacked."""

    name: bytes
    flags: int
    method: int
    packed: int = 0
    size: int = 0
    crc: int = 0


def check(source: Source, member: Member) -> None:
    """Read the central directory, and all that follows up to the end, and compare. Raises Reject."""
    start = source.offset
    _next(source, _CENTRAL)
    _check_entry(source, member)
    length = source.offset - start
    end = source.offset
    magic = source.peek(4)
    if magic == _CENTRAL:
        raise Reject("zip-members", _MANY)
    has_zip64 = magic == _END64
    if has_zip64:
        _check_end64(source, start, length)
        _check_locator64(source, end)
    _check_end(source, start, length, has_zip64)
    if source.peek(1):
        raise ambiguous("something follows its end")  # where others look for another end


def _check_entry(source: Source, member: Member) -> None:
    """4.3.12."""
    entry = exactly(source, 46)
    name = exactly(source, number(entry, 28, 2))
    extra = exactly(source, number(entry, 30, 2))
    exactly(source, number(entry, 32, 2))
    size, packed, offset = zip64(extra, [number(entry, 24, 4), number(entry, 20, 4), number(entry, 42, 4)])
    found = Member(name, number(entry, 8, 2), number(entry, 10, 2), packed, size, number(entry, 16, 4))
    if found != member or offset or number(entry, 34, 2) not in (0, 0xFFFF):
        raise ambiguous("its directory does not tell of the file that is in it")
    mode = number(entry, 40, 2)
    if entry[5] == _UNIX and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise Reject(
            "zip-members", "what is in the zip is a link or a device, and no plain file; pack the image itself"
        )


def _check_end64(source: Source, start: int, length: int) -> None:
    """4.3.14, in its first version: 56 bytes."""
    record = exactly(source, 56)
    told = tuple(
        number(record, at, size) for at, size in ((4, 8), (16, 4), (20, 4), (24, 8), (32, 8), (40, 8), (48, 8))
    )
    if told != (44, 0, 0, 1, 1, length, start):
        raise ambiguous("its ZIP64 end does not tell of its directory")


def _check_locator64(source: Source, end: int) -> None:
    """4.3.15."""
    locator = exactly(source, 20)
    told = (locator[:4], number(locator, 4, 4), number(locator, 8, 8))
    if told != (_LOCATOR64, 0, end) or number(locator, 16, 4) > 1:
        raise ambiguous("its ZIP64 end is somewhere else")


def _check_end(source: Source, start: int, length: int, has_zip64: bool) -> None:
    """4.3.16. What ZIP64 tells may stand here as all ones."""
    _next(source, _END)
    record = exactly(source, 22)
    for at, size, right in ((4, 2, 0), (6, 2, 0), (8, 2, 1), (10, 2, 1), (12, 4, length), (16, 4, start)):
        told = number(record, at, size)
        if told != right and not (has_zip64 and told == (1 << 8 * size) - 1):
            raise ambiguous("its end does not tell of its directory")
    if _END in exactly(source, number(record, 20, 2)):
        raise ambiguous("its comment holds another end")


def _next(source: Source, magic: bytes) -> None:
    found = source.peek(4)
    if found == magic:
        return
    if len(found) < 4:
        raise truncated("zip")
    if found == _LOCAL:
        raise Reject("zip-members", _MANY)
    if found in (_SIGNATURE, _EXTRA_DATA):
        raise unsupported("zip", "are signed or have an encrypted directory, which is not known here; pack it without")
    raise ambiguous("something stands between its parts")


def ambiguous(what: str) -> Reject:
    """Others could find another file in it than the one that was unpacked."""
    return Reject("zip-ambiguous", f"the zip contradicts itself: {what}; pack the image again")


def exactly(source: Source, count: int) -> bytes:
    """The next `count` bytes. Raises Reject if there are fewer."""
    data = source.read(count)
    if len(data) < count:
        raise truncated("zip")
    return data


def number(data: bytes, at: int, size: int) -> int:
    """The number of `size` bytes at `at`."""
    return int.from_bytes(data[at : at + size], "little")


def zip64(extra: bytes, fields: list[int]) -> list[int]:
    """`fields` of 32 bits, in the order of 4.5.3, with those that are all ones taken from the extra field."""
    at = 0
    found: bytes | None = None
    while at + 4 <= len(extra):
        kind, length = number(extra, at, 2), number(extra, at + 2, 2)
        at += 4
        if at + length > len(extra):
            raise ambiguous("an extra field is longer than its header says")
        if kind == _ZIP64_EXTRA:
            if found is not None:
                raise ambiguous("it has two ZIP64 fields")
            found = extra[at : at + length]
        at += length
    if found is None:
        return fields
    values = []
    for field in fields:
        if field != 0xFFFFFFFF:
            values.append(field)
            continue
        if len(found) < 8:
            raise ambiguous("its ZIP64 field is too short")
        values.append(number(found, 0, 8))
        found = found[8:]
    return values
