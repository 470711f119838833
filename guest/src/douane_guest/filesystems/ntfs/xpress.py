"""XPRESS: LZ77 with Huffman codes (MS-XCA, section 2.2), by which the Windows Overlay Filter packs pieces of files."""

from __future__ import annotations

from douane_guest.errors import Broken

from .huffman import code, repeat

_SYMBOLS = 512
_LITERALS = 256
_TABLE_BYTES = _SYMBOLS // 2
_LONG, _LONGER = 15, 255
_LEAST_MATCH = 3
_WINDOW = 0xFFFFFFFF


def decompress(data: bytes, size: int) -> bytes:
    """Exactly `size` bytes, or Broken. Bits come in words of 16, and lengths as bytes between these words."""
    if len(data) < _TABLE_BYTES + 4:
        raise Broken("a piece of a compressed file of NTFS is cut off")
    bits, table = code([nibble for byte in data[:_TABLE_BYTES] for nibble in (byte & 15, byte >> 4)])
    if not bits:
        raise Broken("a piece of a compressed file of NTFS has no codes")
    data += bytes(4)
    end = len(data)
    place = _TABLE_BYTES + 4
    window = int.from_bytes(data[place - 4 : place - 2], "little") << 16
    window |= int.from_bytes(data[place - 2 : place], "little")
    spare, shift = 16, 32 - bits
    out = bytearray()
    while len(out) < size:
        entry = table[window >> shift]
        count, symbol = entry & 31, entry >> 5
        window = window << count & _WINDOW
        spare -= count
        if spare < 0:
            window |= (data[place] | data[place + 1] << 8) << -spare if place + 2 <= end else 0
            spare, place = spare + 16, place + 2
        if symbol < _LITERALS:
            out.append(symbol)
            continue
        length, extra = symbol & 15, symbol >> 4 & 15
        if length == _LONG:
            length, place = _long_length(data, place)
        distance = 1 << extra | window >> 32 - extra
        window = window << extra & _WINDOW
        spare -= extra
        if spare < 0:
            window |= (data[place] | data[place + 1] << 8) << -spare if place + 2 <= end else 0
            spare, place = spare + 16, place + 2
        repeat(out, distance, length + _LEAST_MATCH, size)
    return bytes(out)


def _long_length(data: bytes, place: int) -> tuple[int, int]:
    if place >= len(data):
        raise Broken("a piece of a compressed file of NTFS is cut off")
    length = data[place] + _LONG
    if length < _LONGER + _LONG:
        return length, place + 1
    return int.from_bytes(data[place + 1 : place + 3], "little"), place + 3
