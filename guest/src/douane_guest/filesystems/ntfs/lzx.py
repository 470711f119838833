"""LZX as WIM images and the Windows Overlay Filter have it: pieces of 32 KiB, each packed alone.

MS-PATCH describes the codes. Here, a block has any size up to the piece, and calls of x86 are translated as for a file
of 12,000,000 bytes.
"""

from __future__ import annotations

import struct

from douane_guest.errors import Broken, TooMuch

from .huffman import Code, code, repeat

WINDOW = 32768
_VERBATIM, _ALIGNED, _STORED = 1, 2, 3
_BLOCKS = 64
"""In a piece. Each takes the time to make its codes, whatever its size; programs write one or two."""

_LITERALS = 256
_SLOTS = 30
_MAIN = _LITERALS + 8 * _SLOTS
_LENGTHS = 249
_EXTRA = [max(0, slot // 2 - 1) for slot in range(_SLOTS)]
_BASES = [slot if slot < 4 else (2 + (slot & 1)) << slot // 2 - 1 for slot in range(_SLOTS)]
_REPEATED = 3
_CALL, _CALLS_END, _FILE = 0xE8, 10, 12_000_000


class Bits:
    """Words of 16 bits, the highest bit first. Behind the end there are zeros."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        padded = data + bytes(6 + len(data) % 2)
        self.words: tuple[int, ...] = struct.unpack(f"<{len(padded) // 2}H", padded)
        self.end = len(padded) * 8 - 48
        self.place = 0
        """In bits."""

    def peek(self) -> int:
        """The next 16 bits."""
        place = self.place
        if place > self.end:
            raise Broken("a piece of a compressed file of NTFS is cut off")
        index = place >> 4
        return (self.words[index] << 16 | self.words[index + 1]) >> 16 - (place & 15) & 0xFFFF

    def take(self, count: int) -> int:
        """The next bits, 16 at most."""
        value = self.peek() >> 16 - count
        self.place += count
        return value

    def symbol(self, of: Code) -> int:
        """The next symbol of a code."""
        if not of.bits:
            raise Broken("a piece of a compressed file of NTFS has a symbol of a code without any")
        entry = of.table[self.peek() >> 16 - of.bits]
        self.place += entry & 31
        return entry >> 5


class Piece:
    """What is kept from block to block."""

    def __init__(self, data: bytes, size: int) -> None:
        self.bits = Bits(data)
        self.size = size
        self.out = bytearray()
        self.main = [0] * _MAIN
        self.lengths = [0] * _LENGTHS
        self.recent = [1, 1, 1]


def decompress(data: bytes, size: int) -> bytes:
    """Exactly `size` bytes, or Broken."""
    if not 0 < size <= WINDOW:
        raise Broken(f"a piece of a compressed file of NTFS has {size} bytes")
    piece = Piece(data, size)
    for _ in range(_BLOCKS):
        if len(piece.out) == size:
            break
        _block(piece)
    else:
        raise TooMuch(f"a piece of a compressed file of NTFS has more than {_BLOCKS} blocks")
    return _with_calls(piece.out)


def _block(piece: Piece) -> None:
    bits = piece.bits
    kind = bits.take(3)
    count = WINDOW if bits.take(1) else bits.take(16)
    if not 0 < count <= piece.size - len(piece.out):
        raise Broken(f"a block of a compressed file of NTFS has {count} bytes")
    if kind == _STORED:
        _stored(piece, count)
        return
    if kind not in (_VERBATIM, _ALIGNED):
        raise Broken(f"a block of a compressed file of NTFS has the type {kind}")
    aligned = code([bits.take(3) for _ in range(8)]) if kind == _ALIGNED else None
    _read_lengths(bits, piece.main, 0, _LITERALS)
    _read_lengths(bits, piece.main, _LITERALS, _MAIN)
    _read_lengths(bits, piece.lengths, 0, _LENGTHS)
    _packed(piece, len(piece.out) + count, code(piece.main), code(piece.lengths), aligned)


def _stored(piece: Piece, count: int) -> None:
    """Bits up to a word are left out, a whole one if there are none; then come three distances and the bytes."""
    bits = piece.bits
    place = (bits.place // 16 + 1) * 2
    if place + 12 + count > len(bits.data):
        raise Broken("a piece of a compressed file of NTFS is cut off")
    piece.recent = list(struct.unpack_from("<3I", bits.data, place))
    if not all(piece.recent):
        raise Broken("a block of a compressed file of NTFS repeats bytes at the distance 0")
    piece.out += bits.data[place + 12 : place + 12 + count]
    bits.place = (place + 12 + count + count % 2) * 8


def _read_lengths(bits: Bits, lengths: list[int], first: int, end: int) -> None:
    """Lengths of codes, as differences to those of the block before, in a code of their own."""
    code_of_lengths = code([bits.take(4) for _ in range(20)])
    place = first
    while place < end:
        symbol = bits.symbol(code_of_lengths)
        if symbol < 17:
            lengths[place] = (lengths[place] - symbol) % 17
            place += 1
            continue
        if symbol == 19:
            count = 4 + bits.take(1)
            symbol = bits.symbol(code_of_lengths)
            if symbol > 16:
                raise Broken("the lengths of a Huffman code of a compressed file of NTFS are damaged")
            value = (lengths[place] - symbol) % 17
        else:
            count, value = (4 + bits.take(4) if symbol == 17 else 20 + bits.take(5)), 0
        count = min(count, end - place)
        lengths[place : place + count] = [value] * count
        place += count


def _packed(piece: Piece, end: int, main: Code, lengths: Code, aligned: Code | None) -> None:
    out, bits, recent = piece.out, piece.bits, piece.recent
    if not main.bits:
        raise Broken("a block of a compressed file of NTFS has no codes")
    table, shift, peek = main.table, 16 - main.bits, bits.peek
    while len(out) < end:
        entry = table[peek() >> shift]
        bits.place += entry & 31
        symbol = entry >> 5
        if symbol < _LITERALS:
            out.append(symbol)
            continue
        slot, length = divmod(symbol - _LITERALS, 8)
        if length == 7:
            length += bits.symbol(lengths)
        if slot < _REPEATED:
            distance = recent[slot]
            recent[slot] = recent[0]
            recent[0] = distance
        else:
            distance = _BASES[slot] + _extra(bits, _EXTRA[slot], aligned) - 2
            recent[1:] = recent[:2]
            recent[0] = distance
        repeat(out, distance, length + 2, end)


def _extra(bits: Bits, count: int, aligned: Code | None) -> int:
    """The bits of a distance behind its slot; the last three may be in a code of their own."""
    if aligned is None or count < 3:
        return bits.take(count) if count else 0
    high = bits.take(count - 3) << 3 if count > 3 else 0
    return high | bits.symbol(aligned)


def _with_calls(out: bytearray) -> bytes:
    """Behind each 0xE8, the address that a processor of x86 calls was made absolute: make it relative again."""
    end = len(out) - _CALLS_END
    place = out.find(_CALL, 0, max(end, 0))
    while place >= 0:
        address = int.from_bytes(out[place + 1 : place + 5], "little", signed=True)
        if 0 <= address < _FILE:
            out[place + 1 : place + 5] = (address - place).to_bytes(4, "little", signed=True)
        elif -place <= address < 0:
            out[place + 1 : place + 5] = (address + _FILE).to_bytes(4, "little", signed=True)
        place = out.find(_CALL, place + 5, end) if place + 5 < end else -1
    return bytes(out)
