"""Linux md RAID: the superblocks 0.90, 1.0, 1.1 and 1.2.

Sources: md(4), include/uapi/linux/raid/md_p.h, Documentation/admin-guide/md.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.errors import Broken
from douane_guest.source import Source

MAGIC = 0xA92B4EFC
SECTOR = 512
ALL_SYNCHRONIZED = 0xFFFFFFFFFFFFFFFF

_RECOVERY_OFFSET, _RESHAPE, _BAD_BLOCKS, _REPLACEMENT, _JOURNAL, _RAID0_LAYOUT = 2, 4, 8, 16, 512, 4096
_V1 = struct.Struct("<IIII16s32sQiIQIIIIQiIIIQQQQII16sBBHIQQQII")
_SPARE_ROLE = 0xFF00
"""Roles from here on: spare, faulty, journal."""


class Member(NamedTuple):
    """What a superblock says of its array and of its place in it. Sizes are bytes."""

    source: Source
    version: str
    array: bytes
    """The identity of the array."""

    name: str
    level: int
    layout: int
    chunk: int
    width: int
    """Of the roles."""

    role: int | None
    """None: a spare, or one that failed."""

    events: int
    data_offset: int
    data_size: int
    used_size: int
    """Of each member, in arrays whose members have the same size."""

    synchronized: int
    reshaping: bool
    trouble: str
    """Why its array cannot be read though all is there; empty if it can."""


def read_member(source: Source, *, at_end: bool = True) -> Member | None:
    """The superblock of a device; None if there is none. Raises Broken for one that contradicts itself. `at_end`: also
    look at the end of the device, which for a disk may be that of its last partition."""
    for version, offset in _places(source.size):
        if version in ("1.0", "0.90") and not at_end:
            continue
        head = source.pread(offset, 8)
        magic, major = struct.unpack("<II", head)
        if magic != MAGIC:
            continue
        if version == "0.90" and major == 0:
            return _read_old(source, offset)
        if version != "0.90" and major == 1:
            return _read_new(source, offset, version)
    return None


def _places(size: int) -> Iterator[tuple[str, int]]:
    sectors = size // SECTOR
    places = [("1.1", 0), ("1.2", 4096), ("1.0", ((sectors - 16) & ~7) * SECTOR)]
    places.append(("0.90", (size & ~0xFFFF) - 0x10000))
    return ((version, offset) for version, offset in places if 0 <= offset <= size - 4096)


def _read_new(source: Source, offset: int, version: str) -> Member:
    data = source.pread(offset, 4096)
    fields = _V1.unpack_from(data)
    (_, _, features, _, array, name, _, level, layout, size, chunk, count) = fields[:12]
    (data_offset, data_size, super_offset, recovery, number) = fields[19:24]
    (events, resync, checksum, roles) = fields[31:35]
    if roles > (4096 - 256) // 2:
        raise Broken(f"an md superblock has {roles} roles")
    if checksum != _checksum(data[: 256 + 2 * roles]):
        raise Broken("the checksum of an md superblock is wrong")
    if super_offset * SECTOR != offset:
        raise Broken(f"an md superblock is at {offset}, and says that it is at {super_offset * SECTOR}")
    if number >= roles:
        raise Broken(f"an md superblock is of device {number}, and has {roles} roles")
    role: int | None = int.from_bytes(data[256 + 2 * number : 258 + 2 * number], "little")
    if role is not None and (role >= _SPARE_ROLE or features & _REPLACEMENT):
        role = None
    if features & _RECOVERY_OFFSET and recovery < size:
        role = None
    trouble = "it has a journal for its writes" if features & _JOURNAL else ""
    trouble = trouble or ("it has a list of bad blocks" if features & _BAD_BLOCKS else "")
    return Member(
        source=source,
        version=version,
        array=array,
        name=name.rstrip(b"\0").decode("utf-8", "surrogateescape"),
        level=level,
        layout=layout if level != 0 or features & _RAID0_LAYOUT else 0,
        chunk=chunk * SECTOR,
        width=count,
        role=role,
        events=events,
        data_offset=data_offset * SECTOR,
        data_size=data_size * SECTOR,
        used_size=size * SECTOR,
        synchronized=-1 if resync == ALL_SYNCHRONIZED else resync * SECTOR,
        reshaping=bool(features & _RESHAPE),
        trouble=trouble,
    )


def _checksum(data: bytes) -> int:
    """Of version 1: the sum of its words without that of the sum itself."""
    data = data[:216] + bytes(4) + data[220:]
    total: int = sum(word for (word,) in struct.iter_unpack("<I", data[: len(data) & ~3]))
    if len(data) & 2:
        total += int.from_bytes(data[-2:], "little")
    return ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF


def _read_old(source: Source, offset: int) -> Member:
    data = source.pread(offset, 4096)
    words = struct.unpack("<1024I", data)
    total = sum(words) - words[38]
    folded = ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF
    if words[38] != folded:
        raise Broken("the checksum of an md superblock is wrong")
    minor, level = words[2], struct.unpack("<i", data[28:32])[0]
    state, role = words[33], words[992 + 3]
    device_state = words[992 + 4]
    in_sync = device_state & 0b110 == 0b110 and not device_state & 1
    events = words[39] | words[40] << 32
    return Member(
        source=source,
        version="0.90",
        array=struct.pack("<4I", words[5], *words[13:16]),
        name=str(words[11]),
        level=level,
        layout=words[64] if level != 0 else 0,
        chunk=words[65],
        width=words[10],
        role=role if in_sync else None,
        events=events,
        data_offset=0,
        data_size=offset,
        used_size=words[8] * 1024,
        synchronized=-1 if state & 1 else words[43] * SECTOR,
        reshaping=minor > 90,
        trouble="",
    )
