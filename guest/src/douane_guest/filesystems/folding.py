"""Names in folders that ignore case. Each file system has a table of its own for what is the same letter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache

from douane_guest.errors import Broken

Key = Callable[[bytes], bytes]
"""What two names have in common that are the same in a folder."""

UNITS = 1 << 16


def by_table(capitals: dict[int, int]) -> Key:
    """By a table of the volume, which has the capital of each unit of UTF-16."""

    return lambda name: _translated(name, capitals)


def _translated(name: bytes, capitals: dict[int, int]) -> bytes:
    """The capitals; of a name that is no text, the name: no file has it."""
    try:
        text = name.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return name
    return text.translate(capitals).encode("utf-8", "surrogatepass")


def capitals_of(units: Iterable[int]) -> dict[int, int]:
    """A table as NTFS and exFAT keep it: the capitals of 0, 1, and so on."""
    return {unit: capital for unit, capital in enumerate(units) if unit != capital}


def expanded(units: Iterable[int]) -> Iterator[int]:
    """The table of exFAT, in which 0xFFFF and a count stand for units that are their own capitals."""
    position = 0
    waiting = iter(units)
    for unit in waiting:
        count = next(waiting, 0) if unit == UNITS - 1 else 0
        for capital in range(position, position + count) if unit == UNITS - 1 else (unit,):
            position += 1
            if position > UNITS:
                raise Broken("the table of capital letters has more than 65,536 of them")
            yield capital


def simple(name: bytes) -> bytes:
    """By the capitals that are one letter: FAT has no table."""
    return _translated(name, _simple_capitals())


@cache
def _simple_capitals() -> dict[int, int]:
    pairs = ((unit, chr(unit).upper()) for unit in range(UNITS))
    return {unit: ord(capital) for unit, capital in pairs if len(capital) == 1 and ord(capital) != unit}


def ascii_only(name: bytes) -> bytes:
    """By the 26 letters of ASCII."""
    return name.lower()


def latin1(name: bytes) -> bytes:
    """By the letters of ASCII and of the second half of Latin-1, byte by byte: "ascii-ci" of XFS."""
    return name.translate(_LATIN1)


_LATIN1 = bytes(
    code + 0x20 if 0x41 <= code <= 0x5A or (0xC0 <= code <= 0xDE and code != 0xD7) else code for code in range(256)
)
