"""LZO1X, decompressed: Documentation/staging/lzo.rst of the Linux kernel. btrfs and squashfs use it."""

from __future__ import annotations

from .errors import Broken

_VERSION = 17
_M2_OFFSET = 0x0801
_M4_OFFSET = 0x4000
_LITERALS = 4
"""The state after a run of literals; below it, it is the number of literals that followed a match."""


def decompress(data: bytes, limit: int) -> bytes:
    """At most `limit` bytes. Raises Broken for more, for a stream without its end, and for bytes behind its end."""
    try:
        output, end = _decompress(data, limit)
    except IndexError:
        raise Broken("an LZO stream ends before its end mark") from None
    if end != len(data):
        raise Broken(f"an LZO stream of {len(data)} bytes ends after {end}")
    return output


def _decompress(data: bytes, limit: int) -> tuple[bytes, int]:
    output = bytearray()
    position = 0
    state = 0
    if data[0] == _VERSION and len(data) >= 5:
        if data[1]:
            raise Broken("an LZO stream has a version that btrfs and squashfs do not write")
        position = 2
    if data[position] > _VERSION:
        length = data[position] - _VERSION
        position = _literals(output, data, position + 1, length, limit)
        state = min(length, _LITERALS)
    while True:
        code = data[position]
        position += 1
        if code >= 64:
            length = (code >> 5) + 1
            distance = 1 + ((code >> 2) & 7) + (data[position] << 3)
            position += 1
            following = code & 3
        elif code >= 16:
            mask = 31 if code >= 32 else 7
            length = code & mask
            if not length:
                length, position = _long(data, position, mask)
            length += 2
            pair = data[position] | data[position + 1] << 8
            position += 2
            following = pair & 3
            if code >= 32:
                distance = 1 + (pair >> 2)
            else:
                distance = ((code & 8) << 11) + (pair >> 2)
                if not distance:
                    if length != 3:
                        raise Broken("an LZO stream has a wrong end mark")
                    return bytes(output), position
                distance += _M4_OFFSET
        elif not state:
            length = code
            if not length:
                length, position = _long(data, position, 15)
            position = _literals(output, data, position, length + 3, limit)
            state = _LITERALS
            continue
        else:
            length, extra = (3, _M2_OFFSET) if state == _LITERALS else (2, 1)
            distance = extra + (code >> 2) + (data[position] << 2)
            position += 1
            following = code & 3
        start = len(output) - distance
        if start < 0 or len(output) + length > limit:
            raise Broken(
                f"an LZO stream has a match of {length} bytes, {distance} before byte {len(output)} of {limit}"
            )
        if distance >= length:
            output += output[start : start + length]
        else:
            period = bytes(output[start:])
            output += (period * (length // distance + 1))[:length]
        state = following
        if following:
            position = _literals(output, data, position, following, limit)


def _long(data: bytes, position: int, base: int) -> tuple[int, int]:
    """A length that continues: 255 for each zero, and the byte after them."""
    start = position
    while not data[position]:
        position += 1
    return base + 255 * (position - start) + data[position], position + 1


def _literals(output: bytearray, data: bytes, position: int, count: int, limit: int) -> int:
    end = position + count
    if end > len(data) or len(output) + count > limit:
        raise Broken(f"an LZO stream has {count} literals at byte {position} of {len(data)}")
    output += data[position:end]
    return end
