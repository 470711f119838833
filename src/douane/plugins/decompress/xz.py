"""The .xz format (its specification, 1.2.1): streams and padding, one after the other."""

from __future__ import annotations

from douane_plugin import Reject
from douane_plugin._units import show_exact_size

from .decoding import decode
from .rules import Rules, damaged, unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .source import Source

NAME = "xz"
_MAGIC = b"\xfd7zXZ\0"
_OVERHEAD = 256 << 10
"""What liblzma needs besides the dictionary: 64 KiB with LZMA2, and little for the other filters of a block."""


def begins(head: bytes) -> bool:
    """By its magic (2.1.1.1)."""
    return head.startswith(_MAGIC)


def unpack(source: Source, rules: Rules) -> Iterator[bytes]:
    """Yield what all streams unpack to. Raises Reject."""
    while True:
        yield from unpack_stream(source, rules, NAME)
        padding = source.skip_zeros()
        if padding % 4:  # padding comes in words (2.2); other zeros are none of it
            source.put_back(bytes(1))
        if padding % 4 or source.peek(len(_MAGIC)) != _MAGIC:
            rules.end(NAME, source)
            return


def unpack_stream(source: Source, rules: Rules, name: str) -> Iterator[bytes]:
    """Yield one stream, and leave alone what follows. Raises Reject."""
    import lzma

    rules.begin_member(name)
    # liblzma looks at a block's header and refuses before it allocates (LZMA_MEMLIMIT_ERROR in lzma/base.h).
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=rules.window + _OVERHEAD)
    yield from decode(decoder, source, rules, name, lambda error: explain(error, name, rules))
    # Of the kinds that the format reserves, liblzma says nothing and checks nothing.
    if decoder.check not in (lzma.CHECK_NONE, lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256):
        raise unsupported(name, "have a checksum of a kind that is not known here; compress it again")


def explain(error: Exception, name: str, rules: Rules | None = None) -> Reject:
    """What liblzma says, for a tenant. It has a text and no code (CPython, Modules/_lzmamodule.c, catch_lzma_error)."""
    text = str(error)
    if rules is not None and text == "Memory usage limit exceeded":
        return Reject(
            "compressed-window",
            f"unpacking the image with {name} needs more memory for its dictionary than the "
            f"{show_exact_size(rules.window)} that are allowed; compress it again with a smaller one",
        )
    if "integrity check" in text or "unsupported options" in text:
        return unsupported(name, "have options that are not known here; compress it again")
    return damaged(name, text[:1].lower() + text[1:])
