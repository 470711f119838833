"""A CD as a drive reads it: sectors of 2352 bytes with their headers (ECMA-130, 14), the ``.bin`` of a cue sheet."""

from .raw_content import Content, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

SECTOR = 2352
SYNC = b"\x00" + b"\xff" * 10 + b"\x00"


class CdSectors(Content):
    """``cd-sectors``: no tool for disks reads the file system in it, so that it is ``raw``. CDs of music begin with
    nothing that could be recognised."""

    name = "cd-sectors"
    about = "the raw sectors of a CD (`.bin`)"

    def begins(self, head: bytes) -> bool:
        return head.startswith(SYNC) and (len(head) < SECTOR + len(SYNC) or head.startswith(SYNC, SECTOR))

    def read(self, match: "Match") -> "Reader":
        yield from whole(match)
