"""Sizes in bytes: as an operator writes them, and as a person reads them. Douane uses these functions as well."""

from __future__ import annotations

MAX_SIZE = (1 << 62) - 1
"""The largest size that is accepted: sums of two still fit a signed 64-bit integer (off_t, rlim_t)."""

_PREFIXES = "KMGTPE"
_FACTORS = {"": 1, "b": 1}
for _power, _prefix in enumerate(_PREFIXES.lower(), 1):
    _FACTORS[_prefix + "ib"] = 1 << 10 * _power
    _FACTORS[_prefix + "b"] = 10 ** (3 * _power)
_MAX_DIGITS = 40


def split_number(text: str) -> tuple[str, str, str] | None:
    """The digits before the point, those after, and the unit of a text such as ``1.5 GiB``; None for another text."""
    text = text.strip()
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    whole, point, fraction = number.rstrip().partition(".")
    if len(number) > _MAX_DIGITS or not (whole + fraction).isascii():
        return None
    if not whole.isdigit() or not (fraction.isdigit() if point else True):
        return None
    return whole, fraction, text[len(number) :]


def parse_size(value: int | str, name: str | None = None) -> int:
    """Bytes from ``4096``, ``"10GiB"`` (powers of 1024) or ``"10GB"`` (powers of 1000).

    Raises ValueError for anything else, for less than one byte and for more than :data:`MAX_SIZE`. The message begins
    with the setting's `name`, or describes what is expected.
    """
    size = 0
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (parts := split_number(value)) is not None:
        whole, fraction, unit = parts
        factor = _FACTORS.get(unit.lower(), 0)
        size = int(whole) * factor + int(fraction or "0") * factor // 10 ** len(fraction)
    if not 1 <= size <= MAX_SIZE:
        subject = "" if name is None else f"{name!r} is "
        raise ValueError(
            f"{subject}a size such as 4096, '512MiB' or '10GiB', from one byte to less than 4 EiB, not {value!r:.60}"
        )
    return size


def show_size(size: int) -> str:
    """A size for a table, rounded: ``512 B``, ``1.5 MiB``."""
    if size < 1024:
        return f"{size} B"
    power = min((size.bit_length() - 1) // 10, len(_PREFIXES))
    return f"{size / (1 << 10 * power):.1f} {_PREFIXES[power - 1]}iB"


def number_of(count: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun, for a sentence: ``1 worker``, ``2 workers``; ``2 advisories`` with that `plural`."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def show_exact_size(size: int) -> str:
    """A size for a sentence, with the exact number: ``512 bytes``, ``10 GiB``, ``10.5 GiB (11274289153 bytes)``."""
    if size < 1024:
        return number_of(size, "byte")
    power = min((size.bit_length() - 1) // 10, len(_PREFIXES))
    if size % (1 << 10 * power) == 0:
        return f"{size >> 10 * power} {_PREFIXES[power - 1]}iB"
    return f"{show_size(size)} ({size} bytes)"
