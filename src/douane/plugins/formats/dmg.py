"""Apple's disk images: chunks in any order, and at the end a trailer that points to their description."""

from douane_guest.headers.numbers import be32, be64

from .base import Format
from .requests import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

TRAILER = 512
SEARCHED = 1023
"""The number of last bytes in which qemu searches the trailer (block/dmg.c, dmg_find_koly_offset)."""


def _find_trailer(tail: bytes) -> int:
    """The offset of the trailer in the last bytes, -1 if there is none. The trailer states its own length."""
    begin = max(0, len(tail) - SEARCHED)
    at = tail.find(b"koly", begin)
    return at if at >= 0 and be32(tail, at + 8) == TRAILER else -1


class Dmg(Format):
    """qemu-img recognises the format by the file name alone, other tools by the trailer."""

    name = "dmg"
    about = "a disk of macOS"
    disk_format = "dmg"

    def ends(self, tail: bytes, total: int) -> bool:
        return _find_trailer(tail) >= 0

    def read(self, match: "Match") -> "Reader":
        tail = yield Tail(SEARCHED + 1)
        place = _find_trailer(tail)
        if place < 0:
            return
        base = match.total - len(tail) + place
        match.signatures = (base,)
        trailer = tail[place:]
        if len(trailer) < TRAILER:
            match.find("truncated", f"its trailer ends at {base + TRAILER}, but the image at {match.total}", base)
            return
        # struct UDIFResourceFile as Apple's tools write it: flags, running data fork, data fork, resource fork,
        # segment and segments, ..., property list at 216, kind at 488, sectors at 492
        match.note("version", be32(trailer, 4), base + 4)
        sectors = be64(trailer, 492)
        match.note("sectors", sectors, base + 492)
        segments = be32(trailer, 60)
        if segments > 1:
            match.find("external-extent", f"it is one of {segments} segments", base + 60)
        for at, what in ((24, "the data fork"), (40, "the resource fork"), (216, "the property list")):
            first, length = be64(trailer, at), be64(trailer, at + 8)
            if length:
                match.note(what, f"{length} bytes at {first}", base + at)
                match.must_reach(first + length, what)
        if not be64(trailer, 48) and not be64(trailer, 224):
            match.find("header", "it has neither a property list nor a resource fork to describe its chunks", base)
        if sectors > 1 << 53:
            match.find("virtual-size", f"its disk has {sectors} sectors, but 2^53 at most make sense", base + 492)
        match.virtual_size = sectors * 512
