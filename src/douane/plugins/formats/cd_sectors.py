"""The raw sectors of a CD: 2352 bytes with headers (ECMA-130, 14), the ``.bin`` of a cue sheet."""

from .raw_content import Content

SECTOR = 2352
SYNC = b"\x00" + b"\xff" * 10 + b"\x00"


class CdSectors(Content):
    """``raw`` to every tool for disks, as no tool reads the file system in it. Audio CDs have no signature."""

    name = "cd-sectors"
    about = "the raw sectors of a CD (`.bin`)"

    def begins(self, head: bytes) -> bool:
        return head.startswith(SYNC) and (len(head) < SECTOR + len(SYNC) or head.startswith(SYNC, SECTOR))
