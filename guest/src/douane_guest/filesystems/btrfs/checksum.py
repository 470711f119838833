"""The four kinds of checksums of metadata. Those of data are not verified: the kernel refuses to read a file whose data
differs from them, and a reader shows it, so that nothing is hidden."""

from __future__ import annotations

from collections.abc import Callable

from douane_guest.headers.crc32c import crc32c

from .xxhash import xxhash64


def _crc32c(data: bytes) -> bytes:
    return crc32c(data).to_bytes(4, "little")


def _xxhash(data: bytes) -> bytes:
    return xxhash64(data).to_bytes(8, "little")


def _sha256(data: bytes) -> bytes:
    from hashlib import sha256  # 4 ms, and most file systems have CRC32C

    return sha256(data).digest()


def _blake2(data: bytes) -> bytes:
    from hashlib import blake2b

    return blake2b(data, digest_size=32).digest()


BLOCK_CHECKSUMS: dict[int, Callable[[bytes], bytes]] = {0: _crc32c, 1: _xxhash, 2: _sha256, 3: _blake2}
"""By the type in the superblock."""


def checksum(kind: int, data: bytes) -> bytes:
    """The checksum as it is stored; the field may be longer, filled with zeros."""
    return BLOCK_CHECKSUMS[kind](data)
