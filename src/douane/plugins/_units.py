"""Sizes as an operator writes them and as a tenant reads them."""

from __future__ import annotations

_FACTORS = {"": 1, "B": 1}
_FACTORS.update((letter + "iB", 1 << 10 * (at + 1)) for at, letter in enumerate("KMGTPE"))
_FACTORS.update((letter + "B", 10 ** (3 * (at + 1))) for at, letter in enumerate("KMGTPE"))
_BY_LOWER_CASE = {unit.lower(): factor for unit, factor in _FACTORS.items()}
_MOST_DIGITS = 40


def parse_size(key: str, value: int | str) -> int:
    """Bytes from ``4096``, ``"10GiB"`` (powers of 1024) or ``"10GB"`` (powers of 1000).

    Raises ValueError, which names `key`, for anything else and for less than one byte.
    """
    size = 0
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str):
        text = value.strip()
        digits = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ").rstrip()
        factor = _BY_LOWER_CASE.get(text[len(digits) :].strip().lower())
        whole, _, fraction = digits.partition(".")
        plain = digits.isascii() and len(digits) <= _MOST_DIGITS and whole.isdigit()
        if factor and plain and (not fraction or fraction.isdigit()):
            size = int(whole) * factor + (int(fraction) * factor // 10 ** len(fraction) if fraction else 0)
    if size < 1:
        raise ValueError(f"{key!r} is a number of bytes, 1 or more, or a size like '10GiB', not {value!r:.60}")
    return size


def show_size(size: int) -> str:
    """A size for a person, never rounded to another's: ``512 bytes``, ``10.5 GiB (11274289153 bytes)``."""
    if size < 1024:
        return f"{size} byte{'' if size == 1 else 's'}"
    power = min((size.bit_length() - 1) // 10, 6)
    unit = f"{'KMGTPE'[power - 1]}iB"
    if size % (1 << 10 * power) == 0:
        return f"{size >> 10 * power} {unit}"
    return f"{size / (1 << 10 * power):.1f} {unit} ({size} bytes)"
