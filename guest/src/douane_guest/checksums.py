"""CRC32C and xxHash64 in Python alone.

`crc32c` takes no step for each byte. It takes the block as a polynomial over GF(2), held in one integer, and folds it
with sparse multiples of the generator: if x^n + x^b + x^c + 1 is a multiple, then x^n can be replaced by three lower
terms, which are two shifts of a long integer and exclusive ors. Squaring a multiple doubles its exponents, so that two
multiples serve for all lengths. 16 KiB take 0.04 ms in place of 1.4 ms.
"""

from __future__ import annotations

import functools
import struct
from typing import NamedTuple

_REFLECTED = 0x82F63B78
"""The generator 0x1EDC6F41 of CRC32C (RFC 3720, B.4), with the highest degree in the lowest bit."""


class _Multiple(NamedTuple):
    """Exponents of a multiple of the generator, descending, without the last one, which is 0."""

    exponents: tuple[int, ...]

    def doubled(self, times: int) -> tuple[int, ...]:
        return tuple(exponent << times for exponent in self.exponents)


LONG = _Multiple((7951, 1808, 261))
SHORT = _Multiple((299, 142, 134, 62, 21))
"""Found by a search of all multiples of four terms below 8000 and of six terms below 330: of each kind, the one with
the widest gap below its first exponent, which is what a fold takes off."""

_EXPONENTS = tuple(LONG.doubled(times) for times in range(12, -1, -1)) + tuple(
    SHORT.doubled(times) for times in range(4, -1, -1)
)
_WORTH = 64
"""A fold that takes off fewer bits, or less than a sixth of the integer, is left to the next multiple."""


def _table() -> tuple[int, ...]:
    values = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_REFLECTED if value & 1 else 0)
        values.append(value)
    return tuple(values)


_TABLE = _table()


def crc32c_raw(data: bytes, state: int) -> int:
    """The register after `data`, neither complemented before nor after."""
    if len(data) > _WORTH:
        value = int.from_bytes(data, "little") ^ state
        folds, size = _folds(len(data))
        for count, mask, shifts in folds:
            high = value & mask
            value >>= count
            for shift in shifts:
                value ^= high << shift
        rest = value.to_bytes(size, "little")
        data, last, state = rest[:-4], int.from_bytes(rest[-4:], "little"), 0
    else:
        last = 0
    table = _TABLE
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state ^ last


class _Fold(NamedTuple):
    bits: int
    """Of the highest degrees, which are the lowest of the integer; whole bytes."""

    mask: int
    shifts: tuple[int, ...]
    """Where they are added again, after the integer was shifted."""


@functools.lru_cache(maxsize=64)
def _folds(size: int) -> tuple[tuple[_Fold, ...], int]:
    """What is done with `size` bytes, and how many bytes are left, with the 4 that make room for the remainder."""
    length = size * 8 + 32
    folds = []
    for exponents in _EXPONENTS:
        first, second = exponents[:2]
        while (count := min(first - second, length - first) & ~7) >= max(_WORTH, length // 6):
            shifts = tuple(first - exponent - count for exponent in (*exponents[1:], 0))
            folds.append(_Fold(count, (1 << count) - 1, shifts))
            length -= count
    return tuple(folds), length // 8


def crc32c(data: bytes, seed: int = 0) -> int:
    """CRC32C (Castagnoli) of `data`; `seed` is the checksum of what came before it."""
    return crc32c_raw(data, seed ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_MASK = 0xFFFFFFFFFFFFFFFF


def _rotate(value: int, count: int) -> int:
    return ((value << count) | (value >> (64 - count))) & _MASK


def _round(lane: int, word: int) -> int:
    return _rotate((lane + word * _P2) & _MASK, 31) * _P1 & _MASK


def xxhash64(data: bytes, seed: int = 0) -> int:
    """XXH64 (doc/xxhash_spec.md of the xxHash project): one step of Python for each 8 bytes."""
    rest = len(data) & 31
    words = len(data) - rest
    if words:
        lanes = [(seed + add) & _MASK for add in (_P1 + _P2, _P2, 0, -_P1)]
        for block in struct.iter_unpack("<4Q", memoryview(data)[:words]):
            lanes = [_round(lane, word) for lane, word in zip(lanes, block, strict=True)]
        value = sum(_rotate(lane, turn) for lane, turn in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            value = ((value ^ _round(0, lane)) * _P1 + _P4) & _MASK
    else:
        value = (seed + _P5) & _MASK
    value = (value + len(data)) & _MASK
    tail = data[words:]
    while len(tail) >= 8:
        value = (_rotate(value ^ _round(0, int.from_bytes(tail[:8], "little")), 27) * _P1 + _P4) & _MASK
        tail = tail[8:]
    if len(tail) >= 4:
        value = (_rotate(value ^ (int.from_bytes(tail[:4], "little") * _P1 & _MASK), 23) * _P2 + _P3) & _MASK
        tail = tail[4:]
    for byte in tail:
        value = _rotate(value ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    value = (value ^ (value >> 33)) * _P2 & _MASK
    value = (value ^ (value >> 29)) * _P3 & _MASK
    return value ^ (value >> 32)
