"""Find the parts of a block of memory that are zero: they are not written, and do not count as output."""

from __future__ import annotations

import ctypes

from douane.units import KiB, MiB

BLOCK_BYTES = 64 * KiB
"""The unit of the search: a block that is zero stays a hole in the store."""

ZEROS = bytes(MiB)

_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)


def data_runs(view: memoryview) -> list[tuple[int, int]]:
    """The runs [start, end) of a writable `view` that are not zero, in whole blocks.

    memcmp stops at the first byte that differs, so that data cost next to nothing.
    """
    runs: list[tuple[int, int]] = []
    address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    for start in range(0, len(view), BLOCK_BYTES):
        end = min(start + BLOCK_BYTES, len(view))
        if _memcmp(address + start, ZEROS, end - start) == 0:
            continue
        if runs and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return runs
