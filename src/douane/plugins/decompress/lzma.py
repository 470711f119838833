"""LZMA's first container, ``.lzma``: one header, one stream, no checksum.

xz, src/liblzma/common/alone_decoder.c; the LZMA SDK's ``lzma.txt``.
"""

from __future__ import annotations

from .decoding import decode
from .rules import Rules
from .xz import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .source import Source

NAME = "lzma"
HEADER_BYTES = 13
_UNKNOWN = (1 << 64) - 1
_MOST = 1 << 38  # as xz has it: a header that claims 256 GiB or more is none
_LEAST_WINDOW = 1 << 12


def begins(head: bytes) -> bool:
    """There is no signature, so all that a header can have is checked: a little more strictly than xz does.

    The window is 4 KiB or more, and the first byte of the range coder, always zero, is looked at as well: so a boot
    sector or an image of zeros is not taken for one.
    """
    if len(head) < HEADER_BYTES + 5 or head[HEADER_BYTES] or head[0] >= 9 * 5 * 5:
        return False
    literal, low = head[0] % 9, head[0] // 9 % 5
    window, size = int.from_bytes(head[1:5], "little"), int.from_bytes(head[5:HEADER_BYTES], "little")
    lowest_bit = window & -window
    usual = window == 0xFFFFFFFF or (window >= _LEAST_WINDOW and window in (lowest_bit, 3 * lowest_bit))
    return usual and literal + low <= 4 and (size == _UNKNOWN or 0 < size < _MOST)


def unpack(source: Source, rules: Rules) -> Iterator[bytes]:
    """Yield what the stream unpacks to. Raises Reject."""
    yield from unpack_stream(source, rules, NAME)
    rules.end(NAME, source)


def unpack_stream(source: Source, rules: Rules, name: str) -> Iterator[bytes]:
    """Yield one stream with its header, and leave alone what follows. Raises Reject."""
    import lzma

    rules.begin_member(name)
    rules.begin_window(name, int.from_bytes(source.peek(5)[1:], "little"))
    yield from decode(lzma.LZMADecompressor(lzma.FORMAT_ALONE), source, rules, name, lambda error: explain(error, name))
