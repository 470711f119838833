"""Headers of LUKS 1 and of expandable Parallels images, each before a disk of zeros."""

from __future__ import annotations

import struct

from . import MIB, patched


def luks(version: int = 1, payload_sectors: int = 8, size: int = MIB) -> bytes:
    """A LUKS header, and a payload of zeros."""
    header = struct.pack(
        ">6sH32s32s32sII20s32sI",
        b"LUKS\xba\xbe",
        version,
        b"aes",
        b"xts-plain64",
        b"sha256",
        payload_sectors,
        64,
        b"",
        b"",
        1000,
    )
    slots = [(208 + 48 * number, b"\x00\x00\xde\xad") for number in range(8)]  # all of them disabled
    return patched(bytes(size), (0, header), *slots)


def ploop(sectors: int) -> bytes:
    """The header of an expandable Parallels image of so many sectors."""
    header = struct.pack("<16sIIIIIQ", b"WithoutFreeSpace", 2, 16, sectors // 1024 + 1, 2048, 4, sectors)
    return patched(bytes(MIB), (0, header))
