"""LZ4 frames (lz4_Frame_format.md, 1.6.x), one after the other, and skippable frames."""

from __future__ import annotations

from douane.plugins.formats.lz4 import LEGACY_MAGIC, MAGIC, read_frame_header
from douane_plugin import Reject

from .decoding import decode, read_header, skip_frames
from .limits import UnpackLimits, damaged, unsupported, wrong_checksum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane.plugins._byte_reader import ByteReader

NAME = "lz4"


def unpack(source: ByteReader, limits: UnpackLimits) -> Iterator[bytes]:
    """Yield the content of all frames. Raises Reject."""
    import lz4.frame

    while True:
        skip_frames(source, limits, NAME)
        magic = source.peek(4)
        if magic == LEGACY_MAGIC:
            raise unsupported(
                NAME,
                "are a legacy frame (lz4 -l, as kernels are packed), which has no end and no checksum; compress it "
                "again without -l",
            )
        if magic != MAGIC:
            limits.check_end(NAME, source)
            return
        header = read_header(source, read_frame_header(0), NAME)
        limits.begin_member(NAME)
        if header.dictionary is not None:
            raise unsupported(NAME, "need a dictionary that is not in them; compress it without one")
        limits.check_window(NAME, header.window)
        yield from decode(lz4.frame.LZ4FrameDecompressor(), source, limits, NAME, _explain)


def _explain(error: Exception) -> Reject:
    text = str(error)
    if "hecksum" in text:  # ERROR_headerChecksum_invalid, ERROR_blockChecksum_invalid, ERROR_contentChecksum_invalid
        return wrong_checksum(NAME, "a checksum")
    if "allocation" in text:
        raise MemoryError(text) from error
    return damaged(NAME, text.rpartition("ERROR_")[2] or "they cannot be unpacked")
