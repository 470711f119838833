"""Optical discs: ISO 9660 (ECMA-119) with an empty root directory, and UDF (ECMA-167)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from . import patched

BLOCK = 2048
Blocks = list[tuple[int, bytes]]


def iso(blocks: int = 32, first: bytes = b"") -> bytes:
    """A volume of `blocks` blocks of 2 KiB, whose system area begins with `first`."""
    return patched(disc(volume_blocks(blocks), blocks), (0, first))


def disc(content: Iterable[tuple[int, bytes]], total: int, *, anchor: bool = False) -> bytes:
    """A disc of `total` blocks with `content`, by number of block; with `anchor`, as UDF wants it."""
    anchors = [(number, _anchor(number)) for number in (256, total - 1)] if anchor else []
    return patched(bytes(total * BLOCK), *((number * BLOCK, data) for number, data in (*content, *anchors)))


def volume_blocks(total: int) -> Blocks:
    """The descriptors, path tables and root directory of an ISO 9660 volume of `total` blocks."""
    record = b"\x22\0" + _both_endian(20) + _both_endian(BLOCK) + bytes(7) + b"\2\0\0" + _both_endian(1, "H") + b"\1"
    primary = patched(
        bytes(BLOCK),
        (0, b"\1CD001\1"),
        (8, b"LINUX".ljust(32) + b"DOUANE".ljust(32)),
        (80, _both_endian(total)),
        (120, _both_endian(1, "H") + _both_endian(1, "H") + _both_endian(BLOCK, "H") + _both_endian(10)),
        (140, struct.pack("<I", 18)),
        (148, struct.pack(">I", 19)),
        (156, record),
        (881, b"\1"),
    )
    path_table = b"\1\0" + struct.pack("<IH", 20, 1) + b"\0\0"
    directory = record + b"\0" + record + b"\1"
    return [(16, primary), (17, b"\xffCD001\1"), (18, path_table), (19, path_table), (20, directory)]


def udf_recognition(first: int) -> Blocks:
    """The volume recognition sequence of UDF, from block `first` on."""
    return [(first + place, b"\0" + name + b"\1") for place, name in enumerate((b"BEA01", b"NSR02", b"TEA01"))]


def _both_endian(value: int, form: str = "I") -> bytes:
    return struct.pack(f"<{form}", value) + struct.pack(f">{form}", value)


def _anchor(number: int) -> bytes:
    """An anchor volume descriptor pointer (ECMA-167 3/10.2) with its tag: checksum, and CRC of ITU-T V.41."""
    body = struct.pack("<IIII", 16 * BLOCK, 32, 16 * BLOCK, 48).ljust(496, b"\0")
    crc = 0
    for byte in body:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    tag = bytearray(struct.pack("<HHBBHHHI", 2, 2, 0, 0, 1, crc, len(body), number))
    tag[4] = (sum(tag) - tag[4]) & 0xFF
    return bytes(tag) + body
