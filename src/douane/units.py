"""Sizes and durations as an operator writes them (``512MiB``, ``10m``) and as a person reads them.

Sizes are in the SDK: the plugins' processes need them, too.
"""

from __future__ import annotations

from douane_plugin._units import number_of, parse_size, show_exact_size, show_size, split_number

__all__ = [
    "GiB",
    "KiB",
    "MiB",
    "number_of",
    "parse_duration",
    "parse_size",
    "show_duration",
    "show_exact_size",
    "show_size",
]

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30
_LONGEST_DAYS = 36525
"""A hundred years: times of later dates than those of the calendar cannot be written."""
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: float | str) -> float:
    """Seconds from ``30``, ``"30s"``, ``"10m"``, ``"1.5h"``, ``"250ms"``.

    Raises ValueError for anything else, for zero or less, and for more than a hundred years. The message describes what
    is expected.
    """
    seconds: float
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    else:
        parts = split_number(value) if isinstance(value, str) else None
        if parts is None or parts[2] not in _SECONDS:
            raise ValueError(f"a duration such as '30s', '10m' or '2h', not {value!r:.60}")
        seconds = float(f"{parts[0]}.{parts[1] or '0'}") * _SECONDS[parts[2]]
    if not seconds > 0:
        raise ValueError(f"a duration greater than zero, not {value!r:.60}")
    if seconds > _LONGEST_DAYS * _SECONDS["d"]:
        raise ValueError(f"a duration of at most {_LONGEST_DAYS} days, not {value!r:.60}")
    return float(seconds)


def show_duration(seconds: float) -> str:
    """A duration for a person: ``250 ms``, ``12.5 s``, ``3 min 4 s``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min" + (f" {int(seconds % 60)} s" if seconds % 60 else "")
    return f"{int(seconds // 3600)} h" + (f" {int(seconds % 3600 // 60)} min" if seconds % 3600 >= 60 else "")
