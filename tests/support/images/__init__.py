"""Builders of disk images, one module for each family of formats, and how to change bytes of an image.

`qcow2`, `vmdk`, `vhd`, `headers` (LUKS, Parallels), `partitions` (MBR, GPT), `iso`, `tar`, `zip`, `ova`, `compression`,
`bombs`; `signatures` signs appliances. Real images come from the fixture `qemu_img`.
"""

from __future__ import annotations

import struct

MIB = 1 << 20
SECTOR = 512


def patched(image: bytes, *changes: tuple[int, bytes]) -> bytes:
    """`image` with other bytes at the offsets of `changes`; a negative one counts from the end."""
    new = bytearray(image)
    for offset, data in changes:
        start = offset if offset >= 0 else len(new) + offset
        new[start : start + len(data)] = data
    return bytes(new)


def packed_into(image: bytes, offset: int, layout: str, *values: int | bytes) -> bytes:
    """`image` with `values` packed as `layout` at `offset`."""
    return patched(image, (offset, struct.pack(layout, *values)))


def be(value: int, length: int) -> bytes:
    """Encode an integer, big-endian."""
    return value.to_bytes(length, "big")


def le(value: int, length: int) -> bytes:
    """Encode an integer, little-endian."""
    return value.to_bytes(length, "little")


def padded(data: bytes, block: int = SECTOR) -> bytes:
    """`data` with zeros up to a whole block."""
    return data + bytes(-len(data) % block)
