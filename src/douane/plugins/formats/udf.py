"""UDF (ECMA-167 and OSTA's UDF 2.60): the file system of DVDs and Blu-ray discs; on DVDs beside ISO 9660."""

from .base import Format
from .raw_content import u16, u32, whole
from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

START = 32 << 10
"""The volume recognition sequence begins here (ECMA-167, 2/8.3), in steps of 2048 bytes, or of a sector if more."""

SECTORS = (512, 1024, 2048, 4096)
ANCHORS = sorted({place * size for place in (256, 512) for size in SECTORS})
"""Where an anchor may be, in bytes: at sector 256 (ECMA-167, 3/8.4.2.1), and 512 in discs that are not closed yet."""

ANCHOR, PRIMARY, PARTITION, LOGICAL, TERMINATING = 2, 1, 5, 6, 8
READ_ONLY, OVERWRITABLE = 1, 4
"""Of the partition's access types (ECMA-167, 3/10.5.7) those that have all of their sectors from the beginning."""

MOST_DESCRIPTORS = 64


def version(head: bytes) -> str:
    """``NSR02`` or ``NSR03`` if the recognition sequence announces it, else nothing."""
    for step in (2048, 4096):
        begun = False
        for at in range(START, min(len(head), 72 << 10) - 6, step):
            name = head[at + 1 : at + 6]
            if name == b"BEA01":
                begun = True
            elif begun and name in (b"NSR02", b"NSR03"):
                return name.decode("ascii")
            elif name not in (b"BOOT2", b"CDW02", b"CD001"):
                break
    return ""


class Udf(Format):
    """``udf``. With ISO 9660 beside it the image is an ``iso`` first: firmware boots that. Linux prefers this."""

    name = "udf"
    about = "an optical disc; with `iso` if it can be read either way"
    disk_format = "iso"
    allowed = True

    def begins(self, head: bytes) -> bool:
        return bool(version(head))

    def read(self, match: "Match") -> "Reader":
        head = yield Bytes(0, 72 << 10, "the volume recognition sequence", short=True)
        match.variant = version(head)
        match.spawn(whole(match))
        for at in ANCHORS:
            sector = yield Bytes(at, 512, "an anchor", short=True, essential=False)
            place = u32(sector, 12)
            if tag(sector) == ANCHOR and place and at % place == 0 and at // place in SECTORS:
                match.note("anchor", f"sector {place} of {at // place} bytes", at)
                yield from _sequence(match, u32(sector, 20), u32(sector, 16), at // place)
                return
        # It may be at the end, or at the beginning of a later session; a disc that was never closed has only those.
        match.note("anchor", "none at sectors 256 and 512")


def tag(descriptor: bytes) -> int:
    """The kind of the descriptor by its tag, 0 if the tag's checksum is wrong (ECMA-167, 3/7.2)."""
    if len(descriptor) < 16 or sum(descriptor[:4] + descriptor[5:16]) & 0xFF != descriptor[4]:
        return 0
    return u16(descriptor, 0)


def _sequence(match: "Match", first: int, length: int, size: int) -> "Reader":
    """The volume descriptors, `length` bytes from sector `first` on."""
    for number in range(min(length // size, MOST_DESCRIPTORS)):
        at = (first + number) * size
        one = yield Bytes(at, 512, "a volume descriptor", short=True, essential=False)
        kind = tag(one)
        if kind == PRIMARY:
            match.note("volume", _name(one[24:56]), at + 24)
        elif kind == LOGICAL:
            match.note("block size", u32(one, 212), at + 212)
        elif kind == PARTITION:
            begin, count = u32(one, 188), u32(one, 192)
            match.note("partition", f"{count} sectors from {begin}", at + 188)
            # On a disc that can be added to it is as large as the disc, of which an image has what was written.
            if u32(one, 184) in (READ_ONLY, OVERWRITABLE):
                match.must_reach((begin + count) * size, "the partition")
        elif kind in (TERMINATING, 0):
            return


def _name(field: bytes) -> str:
    """A string of OSTA's compressed Unicode: 8 or 16 bits a character, and its length in the last byte."""
    text = field[1 : max(1, min(field[-1], len(field) - 1))]
    return text.decode("latin-1" if field[0] == 8 else "utf-16-be", "replace")
