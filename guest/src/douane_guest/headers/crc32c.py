"""CRC-32C (Castagnoli), which the standard library lacks: VHDX, ext4, XFS, btrfs and erofs have it.

Without a library, no step is taken for each byte. The block is a polynomial over GF(2), held in one integer, and is
folded with sparse multiples of the generator: if x^n + x^b + x^c + 1 is a multiple, then x^n can be replaced by three
lower terms, which are two shifts of a long integer and exclusive ors. Squaring a multiple doubles its exponents, so
that two multiples serve for all lengths. 16 KiB take 0.04 ms in place of 1.4 ms.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_REFLECTED = 0x82F63B78
"""The generator 0x1EDC6F41 of CRC32C (RFC 3720, B.4), with the highest degree in the lowest bit."""


LONG = (7951, 1808, 261)
SHORT = (299, 142, 134, 62, 21)
"""Exponents of multiples of the generator, descending, without the last one, which is 0. Found by a search of all
multiples of four terms below 8000 and of six terms below 330: of each kind, the one with the widest gap below its first
exponent, which is what a fold takes off."""


def _doubled(exponents: tuple[int, ...], times: int) -> tuple[int, ...]:
    return tuple(exponent << times for exponent in exponents)


_EXPONENTS = (
    *(_doubled(LONG, times) for times in range(12, -1, -1)),
    *(_doubled(SHORT, times) for times in range(4, -1, -1)),
)
_ONES = 0xFFFFFFFF
LIBRARY_BYTES = 2 << 20
_NEVER = 1 << 62
_WORTH = 64
"""A fold that takes off fewer bits, or less than a sixth of the integer, is left to the next multiple."""


Fold = tuple[int, int, tuple[int, ...]]

# Kept by hand: functools imports collections, and the plugin `format`, which starts with each image, needs neither.
_TABLE: list[int] = []
_FOLDS: dict[int, tuple[tuple[Fold, ...], int]] = {}
_MAX_FOLDS = 64


def _table() -> list[int]:
    if not _TABLE:
        values = []
        for byte in range(256):
            value = byte
            for _ in range(8):
                value = (value >> 1) ^ (_REFLECTED if value & 1 else 0)
            values.append(value)
        _TABLE[:] = values
    return _TABLE


def crc32c_raw(data: bytes, state: int = _ONES) -> int:
    """The register after `data`, neither complemented before nor after: with a state of ones, the checksum of ext4."""
    extend = _LIBRARY.extend
    if extend is None and len(data) > _WORTH:
        extend = _LIBRARY.extend_after(len(data))
    return folded(data, state) if extend is None else extend(state ^ _ONES, data) ^ _ONES


class _Library:
    """google-crc32c, if it is installed (the extra ``fast``): 16 KiB take 0.001 ms. Its import takes 5 ms, as long as
    the checksums of LIBRARY_BYTES, so that it waits for so many: the packages of a system need fewer."""

    def __init__(self) -> None:
        self.extend: Callable[[int, bytes], int] | None = None
        self._missing = LIBRARY_BYTES

    def extend_after(self, count: int) -> Callable[[int, bytes], int] | None:
        """Count bytes, and import the library if there were enough."""
        self._missing -= count
        if self._missing > 0:
            return None
        self._missing = _NEVER
        try:
            import google_crc32c
        except (ImportError, RuntimeWarning):  # Without its C part, it warns that Python takes long.
            return None
        if google_crc32c.implementation == "c":
            self.extend = google_crc32c.extend
        return self.extend


_LIBRARY = _Library()


def folded(data: bytes, state: int = _ONES) -> int:
    """The same in Python alone."""
    if len(data) > _WORTH:
        value = int.from_bytes(data, "little") ^ state
        folds, size = _FOLDS.get(len(data)) or _keep_folds(len(data))
        for count, mask, shifts in folds:
            high = value & mask
            value >>= count
            for shift in shifts:
                value ^= high << shift
        rest = value.to_bytes(size, "little")
        data, last, state = rest[:-4], int.from_bytes(rest[-4:], "little"), 0
    else:
        last = 0
    table = _table()
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state ^ last


def _keep_folds(size: int) -> tuple[tuple[Fold, ...], int]:
    if len(_FOLDS) >= _MAX_FOLDS:
        _FOLDS.clear()
    _FOLDS[size] = folds = _folds(size)
    return folds


def _folds(size: int) -> tuple[tuple[Fold, ...], int]:
    """What is done with `size` bytes, and how many bytes are left, with the 4 that make room for the remainder.

    A fold is the count of bits of the highest degrees, which are the lowest of the integer; a mask of them; and where
    they are added again, after the integer was shifted.
    """
    length = size * 8 + 32
    folds = []
    for exponents in _EXPONENTS:
        first, second = exponents[:2]
        while (count := min(first - second, length - first) & ~7) >= max(_WORTH, length // 6):
            shifts = tuple(first - exponent - count for exponent in (*exponents[1:], 0))
            folds.append((count, (1 << count) - 1, shifts))
            length -= count
    return tuple(folds), length // 8


def crc32c(data: bytes, seed: int = 0) -> int:
    """CRC32C (Castagnoli) of `data`; `seed` is the checksum of what came before it."""
    return crc32c_raw(data, seed ^ _ONES) ^ _ONES


def fits(data: bytes, at: int) -> bool:
    """True if the four bytes at `at`, little-endian, are the checksum of `data` with zeros in their place."""
    return crc32c(data[:at] + bytes(4) + data[at + 4 :]) == int.from_bytes(data[at : at + 4], "little")
