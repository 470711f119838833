"""The .xz format (its specification, 1.2.1): streams and padding, one after the other."""

from __future__ import annotations

from douane.plugins.formats.xz import MAGIC
from douane_plugin import Reject
from douane_plugin._units import show_exact_size

from .decoding import decode
from .limits import UnpackLimits, damaged, unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane.plugins._byte_reader import ByteReader

NAME = "xz"
_OVERHEAD = 256 << 10
"""Memory of liblzma besides the dictionary: 64 KiB with LZMA2, and little for the other filters of a block."""


def unpack(source: ByteReader, limits: UnpackLimits) -> Iterator[bytes]:
    """Yield the content of all streams. Raises Reject."""
    while True:
        yield from unpack_stream(source, limits, NAME)
        padding = source.skip_zeros()
        if padding % 4:  # padding comes in words (2.2)
            source.put_back(bytes(1))
        if padding % 4 or source.peek(len(MAGIC)) != MAGIC:
            limits.check_end(NAME, source)
            return


def unpack_stream(source: ByteReader, limits: UnpackLimits, name: str) -> Iterator[bytes]:
    """Yield the content of one stream, and leave what follows. Raises Reject."""
    import lzma

    limits.begin_member(name)
    # liblzma looks at a block's header and refuses before it allocates (LZMA_MEMLIMIT_ERROR in lzma/base.h).
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limits.window + _OVERHEAD)
    yield from decode(decoder, source, limits, name, lambda error: explain(error, name, limits))
    # liblzma skips the checksums of reserved kinds, and raises no error.
    if decoder.check not in (lzma.CHECK_NONE, lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256):
        raise unsupported(name, "have a checksum of a kind that is not known here; compress it again")


def explain(error: Exception, name: str, limits: UnpackLimits | None = None) -> Reject:
    """The refusal for an error of liblzma, which has no code, only a text (CPython, catch_lzma_error)."""
    text = str(error)
    if limits is not None and text == "Memory usage limit exceeded":
        return Reject(
            "compressed-window",
            f"unpacking the image with {name} needs more memory for its dictionary than the "
            f"{show_exact_size(limits.window)} that are allowed; compress it again with a smaller one",
        )
    if "integrity check" in text or "unsupported options" in text:
        return unsupported(name, "have options that are not known here; compress it again")
    return damaged(name, text[:1].lower() + text[1:])
