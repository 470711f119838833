"""How a logged inode becomes one on the disk: the log has it in the byte order of the processor, the disk has not."""

from __future__ import annotations

import struct

from douane_guest.errors import Broken

_V2 = "2sHBB2xIIIHH6sH {t} {t} {t} QQIIHBBIHHI"
_V3 = "2sHBB2xIIIHHQ {t} {t} {t} QQIIHBBIHHI"
_TAIL = "QQQI12s {t} Q16s"
"""Of version 3, from byte 104 on: changes, LSN, flags, size of copy-on-write, padding, time of birth, number, UUID."""

_LEGACY, _BIG = "iI", "Q"
_BIGTIME, _NREXT64 = 0x8, 0x10
DATA, ATTRIBUTES = 0x2 | 0x4 | 0x8, 0x40 | 0x80 | 0x100
_ROOT, _ATTRIBUTE_ROOT = 0x8, 0x100
DEVICE = 0x10


def core_to_disk(logged: bytes, lsn: int) -> tuple[bytes, bytes]:
    """The core up to the pointer of unlinked inodes, and what version 3 has behind it, from byte 104 on."""
    version = logged[4]
    if logged[:2] != b"NI" or version not in {1, 2, 3} or len(logged) < (176 if version == 3 else 96):
        raise Broken("the log has an inode that is none")
    flags2 = int.from_bytes(logged[120:128], "little") if version == 3 else 0
    time = _BIG if flags2 & _BIGTIME else _LEGACY
    if version == 3:
        head = _swap(_V3.format(t=time), logged[:96], reset_magic=True)
        tail = bytearray(_swap(_TAIL.format(t=time), logged[104:176]))
        tail[8:16] = lsn.to_bytes(8, "big")
        tail[28:40] = bytes(12)
        if flags2 & _NREXT64:
            head = head[:76] + logged[76:80][::-1] + logged[80:82][::-1] + head[82:]
        return head, bytes(tail)
    head = _swap(_V2.format(t=time), logged[:96], reset_magic=True)
    return head[:30] + bytes(2) + head[32:], b""


def _swap(fields: str, data: bytes, *, reset_magic: bool = False) -> bytes:
    swapped = struct.pack(">" + fields, *struct.unpack("<" + fields, data))
    return b"IN" + swapped[2:] if reset_magic else swapped


def root_to_disk(logged: bytes, size: int, *, v5: bool) -> bytes:
    """The root of a tree of extents for a fork of `size` bytes; the log has it with the header of a block."""
    header = 72 if v5 else 24
    level, count = struct.unpack_from(">HH", logged, 4)
    logged_capacity, capacity = (len(logged) - header) // 16, (size - 4) // 16
    if not level or not 0 < count <= min(logged_capacity, capacity):
        raise Broken("the log has the root of a tree of extents that does not fit")
    keys = logged[header : header + count * 8]
    pointers = logged[header + logged_capacity * 8 :][: count * 8]
    gap = bytes((capacity - count) * 8)
    return struct.pack(">HH", level, count) + keys + gap + pointers


def forks_to_disk(literal: bytes, fork_offset: int, fields: int, regions: list[bytes], *, v5: bool) -> bytes:
    """The two forks with what was logged of them; `regions` are those behind the core."""
    end = fork_offset * 8 or len(literal)
    if end > len(literal):
        raise Broken("the log has an inode whose fork is not in it")
    data, attributes = literal[:end], literal[end:]
    fork_count = bool(fields & DATA) + bool(fields & ATTRIBUTES)
    if len(regions) < fork_count:
        raise Broken("the log has an inode with fewer forks than it says")
    if fields & DATA:
        data = _laid_over(data, regions[0], fields & _ROOT, v5)
    if fields & ATTRIBUTES:
        attributes = _laid_over(attributes, regions[bool(fields & DATA)], fields & _ATTRIBUTE_ROOT, v5)
    return data + attributes


def _laid_over(fork: bytes, logged: bytes, is_root: int, v5: bool) -> bytes:
    if is_root:
        logged = root_to_disk(logged, len(fork), v5=v5)
    if len(logged) > len(fork):
        raise Broken("the log has a fork that does not fit in its inode")
    return logged + fork[len(logged) :]
