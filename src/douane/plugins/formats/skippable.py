"""Skippable frames, which zstd and lz4 share and which may precede any frame (RFC 8878, 3.1.2)."""

from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

HEADER_BYTES = 8
MAX_FRAMES = 1024
"""Frames that are passed over in search of the first one with data."""


def is_skippable(head: bytes) -> bool:
    """True if `head` begins with a skippable frame."""
    return head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50


def length_of(header: bytes) -> int:
    """Bytes of the frame with this `header` of :data:`HEADER_BYTES`, the header included."""
    return HEADER_BYTES + int.from_bytes(header[4:HEADER_BYTES], "little")


def first_magic(head: bytes) -> "bytes | None":
    """The first four bytes that are not part of a skippable frame; None if they are not in `head`."""
    at = 0
    while is_skippable(head[at : at + 4]):
        if at + HEADER_BYTES > len(head):
            return None
        at += length_of(head[at : at + HEADER_BYTES])
    return head[at : at + 4] if at + 4 <= len(head) else None


def read_first_magic() -> "Generator[Bytes, bytes, tuple[bytes, int]]":
    """Read what stands behind the skippable frames at the beginning: four bytes, fewer at the end, and their offset.

    Behind :data:`MAX_FRAMES` that is one more skippable frame.
    """
    at = 0
    for _ in range(MAX_FRAMES):
        magic = yield Bytes(at, 4, "a frame", short=True)
        if not is_skippable(magic):
            break
        at += length_of(magic + (yield Bytes(at + 4, 4, "the length of a frame")))
    return magic, at
