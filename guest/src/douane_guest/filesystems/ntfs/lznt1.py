"""LZNT1, by which NTFS compresses files (MS-XCA, section 2.5)."""

from __future__ import annotations

from douane_guest.errors import Broken

CHUNK = 4096
_LENGTH, _SIGNATURE, _COMPRESSED = 0x0FFF, 0x7000, 0x8000
_WIDTHS = bytes(max(4, (position - 1).bit_length()) if position else 4 for position in range(CHUNK + 1))
"""How many of the 16 bits of a pair are its distance, by the position in the chunk."""


def decompress(data: bytes, most: int) -> bytes:
    """At most `most` bytes. Each chunk has 4,096, but for the last one."""
    pieces: list[bytes] = []
    place = size = 0
    while size < most and place + 2 <= len(data):
        header = int.from_bytes(data[place : place + 2], "little")
        if header == 0:
            break
        end = place + 3 + (header & _LENGTH)
        if header & _SIGNATURE != 0x3000 or end > len(data):
            raise Broken("a chunk of a compressed file of NTFS is damaged")
        body = data[place + 2 : end]
        chunk = _expand(body) if header & _COMPRESSED else body
        if pieces and len(pieces[-1]) < CHUNK:
            pieces[-1] = pieces[-1].ljust(CHUNK, b"\0")
        pieces.append(chunk)
        size = (len(pieces) - 1) * CHUNK + len(chunk)
        place = end
    return b"".join(pieces)[:most]


def _expand(data: bytes) -> bytes:
    """One chunk: a byte of flags, then for each of its bits a byte, or a pair of a distance and a length."""
    out = bytearray()
    place, end = 0, len(data)
    while place < end:
        flags = data[place]
        place += 1
        if not flags:
            out += data[place : place + 8]
            place += 8
            continue
        for _ in range(8):
            if place >= end:
                break
            if flags & 1:
                if place + 2 > end:
                    raise Broken("a pair of a compressed file of NTFS is cut off")
                place = _copy(out, data[place] | data[place + 1] << 8, place)
            else:
                out.append(data[place])
                place += 1
            flags >>= 1
        if len(out) > CHUNK:
            break
    if len(out) > CHUNK:
        raise Broken("a chunk of a compressed file of NTFS has more than 4,096 bytes")
    return bytes(out)


def _copy(out: bytearray, pair: int, place: int) -> int:
    """Repeat bytes that were already written; they may overlap with what is written."""
    if len(out) > CHUNK:
        raise Broken("a chunk of a compressed file of NTFS has more than 4,096 bytes")
    bits = 16 - _WIDTHS[len(out)]
    distance, length = (pair >> bits) + 1, (pair & (1 << bits) - 1) + 3
    if distance > len(out):
        raise Broken("a compressed file of NTFS repeats bytes from before its beginning")
    start = len(out) - distance
    if distance >= length:
        out += out[start : start + length]
    else:
        out += (out[start:] * (length // distance + 1))[:length]
    return place + 2
