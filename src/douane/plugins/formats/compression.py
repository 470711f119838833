"""Compressed data: the base of each compression, and the memory that its header asks for.

A new compression is a module with a subclass of :class:`Compression` and one line in :mod:`compressions`. Its
`decoder` names the module that the transform `decompress` unpacks it with.
"""

from .base import Format

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match

USUAL_WINDOW_BYTES = 128 << 20
"""More is unusual: zstd refuses it without ``--long`` (RFC 8878, 3.1.1.1.2, asks for 8 MiB); ``xz -9`` has 64 MiB."""


class Compression(Format):
    """A compression. The inspector and the transform recognise it by the same `begins`, and read headers with the same
    generators, which yield :class:`requests.Bytes`, return the header, and raise :class:`HeaderError`."""

    kind = "compressed"
    about = "compressed data; `format` does not unpack it"
    allowed = True


class HeaderError(ValueError):
    """A header that cannot be used. Attributes: `code`, one of :data:`codes.CODES`; `offset` in bytes."""

    def __init__(self, code: str, detail: str, offset: int) -> None:
        super().__init__(detail)
        self.code, self.offset = code, offset


def note_window(match: "Match", length: int, offset: int) -> None:
    """Note a window or dictionary of `length` bytes, read at `offset`; add the finding ``big-window`` if large."""
    match.note("window", length, offset)
    if length > USUAL_WINDOW_BYTES:
        match.find("big-window", f"to unpack it takes {length} bytes of memory, as its header claims", offset)
