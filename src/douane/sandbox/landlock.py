"""The Landlock version of this kernel."""

from __future__ import annotations

import ctypes
import functools

_CREATE_RULESET = 444
_VERSION = 1


@functools.cache
def landlock_abi() -> int:
    """The Landlock ABI version; 0 if the kernel has no Landlock, or did not enable it at boot (landlock(7))."""
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    version = library.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_long(0), ctypes.c_long(_VERSION))
    return max(0, int(version))
