"""Blocks of LZ4 in Python: where no library is installed, and where only the beginning of a block is wanted.

The format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md.
"""

from __future__ import annotations

from .errors import Broken

SHORTEST_MATCH = 4


def decompress(data: bytes, most: int, *, partly: bool = False) -> bytes:
    """The output of a block. `partly`: its first `most` bytes; whatever follows in `data` is not looked at.

    Raises Broken for a block that is damaged, or (without `partly`) whose output is longer than `most`.
    """
    output = bytearray()
    position = 0
    while position < len(data):
        token = data[position]
        count, position = length_at(data, position + 1, token >> 4)
        if position + count > len(data):
            raise Broken("a block of lz4 ends within its literals")
        output += data[position : position + count]
        position += count
        if partly and len(output) >= most:
            break
        if position == len(data):
            break
        distance = int.from_bytes(data[position : position + 2], "little")
        count, position = length_at(data, position + 2, token & 15)
        copy(output, distance, min(count + SHORTEST_MATCH, most + 1 - len(output)))
        if len(output) > most:
            break
    if len(output) > most and not partly:
        raise Broken(f"a block of lz4 becomes larger than the {most} bytes that it may have")
    return bytes(output[:most])


def length_at(data: bytes, position: int, count: int) -> tuple[int, int]:
    """A length of which four bits are known, and the position behind it."""
    if count < 15:
        return count, position
    while position < len(data):
        more = data[position]
        position += 1
        count += more
        if more != 255:
            return count, position
    raise Broken("a block of lz4 ends within a length")


def copy(output: bytearray, distance: int, count: int) -> None:
    """Append `count` bytes that stand `distance` bytes before the end; they may overlap."""
    if not 0 < distance <= len(output):
        raise Broken("a block of lz4 refers to bytes before its beginning")
    if count <= 0:
        return
    piece = output[-distance:]
    if distance < count:
        piece = piece * (count // distance + 1)
    output += piece[:count]
