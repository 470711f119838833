"""Which parts of a block of memory are zero: they are not written, take no room, and do not count as made."""

from __future__ import annotations

import ctypes

from douane.units import KiB, MiB

BLOCK_BYTES = 64 * KiB
"""What is looked at as one: a block that is zero stays a hole in the store."""

ZEROS = bytes(MiB)

_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)


def runs(view: memoryview) -> list[tuple[int, int]]:
    """The runs [start, end) of a writable `view` that are not zero, to the block. memcmp stops at the first other
    byte, so that data cost next to nothing."""
    found: list[tuple[int, int]] = []
    address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    for at in range(0, len(view), BLOCK_BYTES):
        end = min(at + BLOCK_BYTES, len(view))
        if _memcmp(address + at, ZEROS, end - at) == 0:
            continue
        if found and found[-1][1] == at:
            found[-1] = (found[-1][0], end)
        else:
            found.append((at, end))
    return found
