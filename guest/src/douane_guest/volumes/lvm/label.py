"""The label of a physical volume, and where the text of its group is.

Source: LVM2's documentation of its format (lib/format_text/layout.h names the structures), libyal's "Logical Volume
Manager (LVM) format".
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch
from douane_guest.source import Source

SECTOR = 512
LABEL_SECTORS = 4
MAX_AREAS = 16
MAX_TEXT = 4 << 20
"""Bytes of the text of a group. One with 10,000 volumes has 4 MiB."""
_LABEL = struct.Struct("<8sQII8s")
_LOCATION = struct.Struct("<QQ")
_AREA = struct.Struct("<I16sIQQ")
_TEXT = struct.Struct("<QQII")
_AREA_MAGIC = b" LVM2 x[5A%r0N*>"
_AREA_HEADER = 512
_IGNORED = 1
_CRC_START = 0xF597A6CF


class PhysicalVolume(NamedTuple):
    """A device of a volume group."""

    source: Source
    uuid: str
    texts: list[bytes]
    """The text of its group, once for each of its metadata areas that has one."""


def lvm_crc(data: bytes) -> int:
    """CRC-32 with LVM's start and without the inversion at its end."""
    return zlib.crc32(data, _CRC_START ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def label_offset(source: Source) -> int | None:
    """The place of the label, which is in the first four sectors; None if this is no physical volume."""
    for sector in range(LABEL_SECTORS):
        offset = sector * SECTOR
        if offset + SECTOR > source.size:
            break
        data = source.pread(offset, SECTOR)
        name, number, checksum, _, kind = _LABEL.unpack_from(data)
        if name == b"LABELONE" and kind == b"LVM2 001" and number == sector and checksum == lvm_crc(data[20:]):
            return offset
    return None


def read_label(source: Source, budget: Budget) -> PhysicalVolume | None:
    """The physical volume on a device; None if there is none."""
    offset = label_offset(source)
    if offset is None:
        return None
    data = source.pread(offset, SECTOR)
    start = _LABEL.unpack_from(data)[3]
    if not _LABEL.size <= start <= SECTOR - 40 - 2 * _LOCATION.size:
        raise Broken(f"the label of a physical volume says that its header is at {start}")
    uuid = data[start : start + 32].decode("ascii", "replace")
    _, rest = _locations(data, start + 40)
    areas, _ = _locations(data, rest)
    texts = [_read_text(source, offset, size, budget) for offset, size in areas]
    return PhysicalVolume(source, uuid, list(dict.fromkeys(text for text in texts if text)))


def _locations(data: bytes, position: int) -> tuple[list[tuple[int, int]], int]:
    """A list that a zero offset ends, and where it ends."""
    locations: list[tuple[int, int]] = []
    while position + _LOCATION.size <= len(data):
        offset, size = _LOCATION.unpack_from(data, position)
        position += _LOCATION.size
        if not offset:
            return locations, position
        locations.append((offset, size))
        if len(locations) > MAX_AREAS:
            raise Broken("a physical volume has too many areas")
    raise Broken("a list of areas of a physical volume does not end")


def _read_text(source: Source, start: int, size: int, budget: Budget) -> bytes:
    """The committed text of a metadata area; empty if it has none. The area is a ring."""
    budget.step()
    if size <= _AREA_HEADER or start + size > source.size:
        raise Broken(f"a metadata area of {size} bytes at {start} lies outside of its physical volume")
    head = source.pread(start, _AREA_HEADER)
    checksum, magic, version, where, length = _AREA.unpack_from(head)
    if magic != _AREA_MAGIC or version != 1 or checksum != lvm_crc(head[4:]):
        raise Broken("the header of a metadata area of LVM is damaged")
    if (where, length) != (start, size):
        raise Broken(f"a metadata area is at {start}, and says that it is at {where}")
    offset, count, text_checksum, flags = _TEXT.unpack_from(head, _AREA.size)
    if not offset or flags & _IGNORED:
        return b""
    if not _AREA_HEADER <= offset < size or not 0 < count <= size - _AREA_HEADER:
        raise Broken(f"the text of a volume group has {count} bytes at {offset} of its area")
    if count > MAX_TEXT:
        raise TooMuch(f"the text of a volume group has {count} bytes, more than the {MAX_TEXT} that are read")
    first = min(count, size - offset)
    text = source.pread(start + offset, first) + source.pread(start + _AREA_HEADER, count - first)
    if lvm_crc(text) != text_checksum:
        raise Broken("the checksum of the text of a volume group is wrong")
    return text
