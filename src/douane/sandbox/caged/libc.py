"""Call the C library through `_ctypes`: importing `ctypes` would take a third of the start-up time."""

from __future__ import annotations

import _ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CLOSE_RANGE = 436  # the same on every architecture
_NOW = 2  # RTLD_NOW, dlopen(3)
_PROGRAM = _ctypes.dlopen(None, _NOW)  # type: ignore[arg-type]  # None is this program; missing in typeshed


class _Long(_ctypes._SimpleCData):  # type: ignore[type-arg]  # not subscriptable at run time before Python 3.12
    _type_ = "l"


class _Char(_ctypes._SimpleCData):  # type: ignore[type-arg]  # as above
    _type_ = "c"


class _Function(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _Long


def function(name: str) -> Any:
    """The C function `name`, which takes c_long or bytes and returns a long."""
    return _Function(_ctypes.dlsym(_PROGRAM, name))


def call(name: str, *arguments: int | bytes) -> int:
    """Call the C function `name`. Raises OSError if it returns -1."""
    result: int = function(name)(*(_Long(value) if isinstance(value, int) else value for value in arguments))
    # An int result is in the lower half of the register only.
    if result & 0xFFFFFFFF == 0xFFFFFFFF:
        code = _ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
    return result


class Memory:
    """Bytes at a fixed address, for structures with pointers."""

    def __init__(self, content: bytes) -> None:
        kind: Any = type("Bytes", (_ctypes.Array,), {"_type_": _Char, "_length_": len(content)})
        self._array = kind.from_buffer_copy(content)
        self.address = _ctypes.addressof(self._array)
        """The address in this process; valid as long as this object lives."""

    def content(self) -> bytes:
        """The bytes as they are now."""
        return bytes(memoryview(self._array).cast("B"))


def packed(*fields: tuple[int, int]) -> bytes:
    """Little-endian integers, each given as (value, size in bytes)."""
    return b"".join((value & ((1 << size * 8) - 1)).to_bytes(size, "little") for value, size in fields)


def close_all_but(keep: set[int]) -> None:
    """Close every descriptor that is not in `keep` (close_range(2), Linux 5.9 and later)."""
    start = 0
    for fd in [*sorted(keep), 1 << 31]:
        if fd > start:
            call("syscall", _CLOSE_RANGE, start, fd - 1, 0)  # before Python 3.10 os.closerange makes a call for each
        start = fd + 1
