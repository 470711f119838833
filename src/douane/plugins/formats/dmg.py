"""Apple's disk images: chunks in any order, and at the end a trailer that leads to what describes them."""

from .base import Format
from .raw_content import be32, be64
from .requests import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

TRAILER = 512
SEARCHED = 1023
"""qemu looks for the trailer in so many of the last bytes (block/dmg.c, dmg_find_koly_offset)."""


def _place(tail: bytes) -> int:
    """Offset of the trailer in the last bytes, -1 if there is none; its length stands in it."""
    begin = max(0, len(tail) - SEARCHED)
    at = tail.find(b"koly", begin)
    return at if at >= 0 and be32(tail, at + 8) == TRAILER else -1


class Dmg(Format):
    """``dmg``. qemu-img takes a file for it by its name alone, and other tools by the trailer."""

    name = "dmg"
    about = "a disk of macOS"
    disk_format = "dmg"

    def ends(self, tail: bytes, total: int) -> bool:
        return _place(tail) >= 0

    def read(self, match: "Match") -> "Reader":
        tail = yield Tail(SEARCHED + 1)
        place = _place(tail)
        if place < 0:
            return
        base = match.total - len(tail) + place
        trailer = tail[place:]
        if len(trailer) < TRAILER:
            match.find("truncated", f"its trailer ends at {base + TRAILER}, and the image at {match.total}", base)
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
            match.find(
                "header", "it has neither a property list nor a resource fork, so nothing says what it holds", base
            )
        if sectors > 1 << 53:
            match.find("virtual-size", f"{sectors} sectors are absurd", base + 492)
        match.virtual_size = sectors * 512
