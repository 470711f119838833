"""How much memory a decompressor needs, by what the header claims."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match

USUAL_WINDOW_BYTES = 128 << 20
"""More is unusual: zstd refuses it without ``--long`` (RFC 8878, 3.1.1.1.2, asks for 8 MiB); ``xz -9`` has 64 MiB."""


def note_window(match: "Match", length: int, offset: int) -> None:
    """Note a window or dictionary of `length` bytes, read at `offset`; the finding ``big-window`` if it is large."""
    match.note("window", length, offset)
    if length > USUAL_WINDOW_BYTES:
        match.find("big-window", f"to unpack it takes {length} bytes of memory, as its header claims", offset)
