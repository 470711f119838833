"""What both methods of the Windows Overlay Filter have: canonical Huffman codes, and repeated bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from douane_guest.errors import Broken


class Code(NamedTuple):
    """A table by the next `bits` bits: each entry is a symbol, shifted by 5, and the length of its code."""

    bits: int
    table: list[int]


def code(lengths: Sequence[int]) -> Code:
    """From the length of each symbol's code, of at most 16 bits, shorter ones first; 0: it does not occur. Raises
    Broken for a code that is not complete. One without symbols has no bits, and no table to look into."""
    bits = max(lengths)
    if not bits:
        return Code(0, [])
    by_length: list[list[int]] = [[] for _ in range(bits + 1)]
    for symbol, length in enumerate(lengths):
        by_length[length].append(symbol << 5 | length)
    space = sum(len(by_length[length]) << bits - length for length in range(1, bits + 1))
    if space != 1 << bits:
        raise Broken("a Huffman code of a compressed file of NTFS is not complete")
    table: list[int] = []
    for length in range(1, bits + 1):
        for entry in by_length[length]:
            table += [entry] * (1 << bits - length)
    return Code(bits, table)


def repeat(out: bytearray, distance: int, length: int, size: int) -> None:
    """Repeat bytes that were already written; they may overlap with what is written."""
    start = len(out) - distance
    if start < 0 or len(out) + length > size:
        raise Broken("a piece of a compressed file of NTFS repeats bytes from before its beginning, or too many")
    if distance >= length:
        out += out[start : start + length]
    else:
        out += (out[start:] * (length // distance + 1))[:length]
