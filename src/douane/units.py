"""Sizes and durations as an operator writes them: ``512MiB``, ``10m``."""

from __future__ import annotations

import re

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30

_SIZES = {
    "": 1,
    "b": 1,
    "kib": KiB,
    "mib": MiB,
    "gib": GiB,
    "tib": 1 << 40,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
}
_DURATIONS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", re.ASCII)


def parse_size(value: int | str) -> int:
    """Bytes from ``4096``, ``"512MiB"`` (IEC, powers of 1024) or ``"1GB"`` (powers of 1000).

    Raises ValueError, with what was expected, for anything else and for less than one byte.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
        if match is None or match[2].lower() not in _SIZES:
            raise ValueError(f"a size such as '512MiB' or '10GiB', not {value!r:.60}")
        size = int(float(match[1]) * _SIZES[match[2].lower()])
    if not 1 <= size < 1 << 62:
        raise ValueError(f"a size of at least one byte and less than 4 EiB, not {value!r:.60}")
    return size


def parse_duration(value: float | str) -> float:
    """Seconds from ``30``, ``"30s"``, ``"10m"``, ``"1.5h"``, ``"250ms"``.

    Raises ValueError, with what was expected, for anything else and for zero or less.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
        if match is None or match[2] not in _DURATIONS:
            raise ValueError(f"a duration such as '30s', '10m' or '2h', not {value!r:.60}")
        seconds = float(match[1]) * _DURATIONS[match[2]]
    if not 0 < seconds < float("inf"):
        raise ValueError(f"a duration greater than zero, not {value!r:.60}")
    return seconds


def show_size(size: int) -> str:
    """A size for a person: ``512 B``, ``1.5 MiB``."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def show_duration(seconds: float) -> str:
    """A duration for a person: ``250 ms``, ``12.5 s``, ``3 min 4 s``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min" + (f" {int(seconds % 60)} s" if seconds % 60 else "")
    return f"{int(seconds // 3600)} h" + (f" {int(seconds % 3600 // 60)} min" if seconds % 3600 >= 60 else "")
