"""Footers, headers and checksums of VHD and VHDX."""

from __future__ import annotations

import struct

from . import packed_into

NO_OFFSET = (1 << 64) - 1


def vhd_footer(size: int, kind: int, *, creator: bytes = b"win ", geometry: tuple[int, int, int] = (2, 4, 17)) -> bytes:
    """The footer of a VHD, with its checksum."""
    following = NO_OFFSET if kind == 2 else 512
    footer = struct.pack(">8sIIQI4sI4s", b"conectix", 2, 0x10000, following, 0, creator, 0x50003, b"Wi2k")
    footer += struct.pack(">QQHBBI", size, size, *geometry, kind)
    return vhd_summed(footer.ljust(512, b"\0"), 64)


def vhd_summed(data: bytes, at: int) -> bytes:
    """`data` with the checksum at `at` that fits."""
    blank = data[:at] + bytes(4) + data[at + 4 :]
    return data[:at] + struct.pack(">I", ~sum(blank) & 0xFFFFFFFF) + data[at + 4 :]


def crc32c(data: bytes) -> int:
    """CRC-32C, bit by bit."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 * (value & 1))
    return value ^ 0xFFFFFFFF


def vhdx_summed(image: bytes, at: int, length: int) -> bytes:
    """`image` with the checksum that fits in the header or region table at `at`."""
    blank = image[at : at + 4] + bytes(4) + image[at + 8 : at + length]
    return packed_into(image, at + 4, "<I", crc32c(blank))
