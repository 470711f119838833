"""Nero's CD images: the tracks, followed by their description (libcdio, lib/driver/image/nrg.c)."""

from douane_guest.headers.numbers import be32, be64

from .base import Format
from .requests import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader


def _footer(tail: bytes, total: int) -> "tuple[str, int] | None":
    """The version, and the offset of the chunks that describe the tracks; None if there is no footer."""
    if tail[-12:-8] == b"NER5":
        name, place, end = "NER5", be64(tail, len(tail) - 8), total - 12
    elif tail[-8:-4] == b"NERO":
        name, place, end = "NERO", be32(tail, len(tail) - 4), total - 8
    else:
        return None
    return (name, place) if 0 < place < end else None


class Nrg(Format):
    """``raw`` to every tool that looks for disk formats."""

    name = "nrg"
    about = "an optical disc in Nero's format"
    kind = "other"

    def ends(self, tail: bytes, total: int) -> bool:
        return _footer(tail, total) is not None

    def read(self, match: "Match") -> "Reader":
        tail = yield Tail(12)
        footer = _footer(tail, match.total)
        if footer:
            match.variant = footer[0]
            match.signatures = (match.total - len(tail),)
            match.note("chunks at", footer[1], match.total - len(tail))
        match.virtual_size = match.total
