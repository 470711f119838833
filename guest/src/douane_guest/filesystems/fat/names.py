"""Names and times of FAT's folder entries."""

from __future__ import annotations

import struct
from typing import NamedTuple

from douane_guest.errors import Broken

LONG = 0x0F
"""The attributes of an entry that holds a part of a long name."""

_LAST_PART = 0x40
_MOST_PARTS = 20
_LOWER_BASE, _LOWER_EXTENSION = 0x08, 0x10
_PART = struct.Struct("<B10sBBB12s2x4s")
_DAYS = (0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 0, 0, 0)
_DAYS_TO_1980 = 3652


class _Pending(NamedTuple):
    """A long name of which parts are missing: they come from its end to its begin."""

    missing: int
    checksum: int
    text: bytes


class LongName:
    """Collects the parts of a long name. Parts that do not belong together are left out, as all systems do."""

    def __init__(self) -> None:
        self._pending: _Pending | None = None

    def add(self, record: bytes) -> None:
        """The next part."""
        order, first, _, _, checksum, second, third = _PART.unpack(record)
        text = first + second + third
        pending = self._pending
        if pending and pending.missing == order and pending.checksum == checksum:
            self._pending = _Pending(order - 1, checksum, text + pending.text)
        elif order & _LAST_PART and 0 < order - _LAST_PART <= _MOST_PARTS:
            self._pending = _Pending(order - _LAST_PART - 1, checksum, text)
        else:
            self._pending = None

    def take(self, short: bytes) -> bytes | None:
        """The name in UTF-16, if it is complete and that of the entry with this short name."""
        pending, self._pending = self._pending, None
        if pending is None or pending.missing or pending.checksum != checksum_of(short):
            return None
        units = struct.unpack(f"<{len(pending.text) // 2}H", pending.text)
        return pending.text[: 2 * units.index(0)] if 0 in units else pending.text


def checksum_of(short: bytes) -> int:
    """Of the eleven bytes of a short name, as each part of its long name repeats it."""
    value = 0
    for byte in short:
        value = ((value & 1) << 7) + (value >> 1) + byte & 0xFF
    return value


def from_utf16(name: bytes) -> bytes:
    """A name as UTF-8; half a surrogate pair stays as it is. Raises Broken for one that no path can have."""
    return check(utf8(name))


def utf8(text: bytes) -> bytes:
    """UTF-16 as UTF-8; half a surrogate pair stays as it is."""
    return text.decode("utf-16-le", "surrogatepass").encode("utf-8", "surrogatepass")


def check(name: bytes) -> bytes:
    """The name. Raises Broken if no path can have it."""
    if not name or b"/" in name or b"\0" in name or name in (b".", b".."):
        raise Broken(f"a folder has an entry with the name {name!r}")
    return name


def short_name(record: bytes) -> bytes:
    """The 8.3 name, in the code page 437 as Linux assumes it, in small letters where Windows NT's bits say so."""
    raw = b"\xe5" + record[1:11] if record[0] == 0x05 else record[:11]
    case = record[12]
    base, extension = raw[:8].rstrip(b" ").decode("cp437"), raw[8:].rstrip(b" ").decode("cp437")
    base = base.lower() if case & _LOWER_BASE else base
    extension = extension.lower() if case & _LOWER_EXTENSION else extension
    if not base:
        raise Broken("a folder has an entry without a name")
    return check(f"{base}.{extension}".encode() if extension else base.encode())


def seconds(date: int, time: int) -> int:
    """Since 1970. FAT has the local time of a machine that is not known: it is taken as UTC, as Linux does."""
    year, month, day = date >> 9, max(1, date >> 5 & 15), max(1, date & 31)
    past_february = month > 2 and year % 4 == 0 and year != 120
    days = year * 365 + (year + 3) // 4 - (year > 120) + _DAYS[month] + past_february + day - 1 + _DAYS_TO_1980
    return days * 86400 + (time >> 11) * 3600 + (time >> 5 & 63) * 60 + (time & 31) * 2
