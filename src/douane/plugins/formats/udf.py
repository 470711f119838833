"""UDF (ECMA-167 and OSTA's UDF 2.60): the file system of DVDs, beside ISO 9660, and Blu-ray discs."""

from douane_guest.headers.numbers import u16, u32

from .base import Format
from .raw_content import read_whole_disk
from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

START = 32 << 10
"""The start of the volume recognition sequence (ECMA-167, 2/8.3), in steps of 2048 bytes or of a larger sector."""

SECTORS = (512, 1024, 2048, 4096)
ANCHORS = sorted({place * size for place in (256, 512) for size in SECTORS})
"""Offsets of anchors: sector 256 (ECMA-167, 3/8.4.2.1), and 512 in discs that are not closed."""

ANCHOR, PRIMARY, PARTITION, LOGICAL, TERMINATING = 2, 1, 5, 6, 8
READ_ONLY, OVERWRITABLE = 1, 4
"""Access types of partitions (ECMA-167, 3/10.5.7) that have all of their sectors from the start."""

MAX_DESCRIPTORS = 64


def version(head: bytes) -> str:
    """``NSR02`` or ``NSR03`` as the recognition sequence states; empty if there is none."""
    for step in (2048, 4096):
        in_sequence = False
        for at in range(START, min(len(head), 72 << 10) - 6, step):
            name = head[at + 1 : at + 6]
            if name == b"BEA01":
                in_sequence = True
            elif in_sequence and name in (b"NSR02", b"NSR03"):
                return name.decode("ascii")
            elif name not in (b"BOOT2", b"CDW02", b"CD001"):
                break
    return ""


class Udf(Format):
    """With ISO 9660 beside UDF the image is an ``iso`` first: firmware boots ISO 9660, though Linux prefers UDF."""

    name = "udf"
    about = "an optical disc; with `iso` if it can be read either way"
    disk_format = "iso"
    allowed = True

    def begins(self, head: bytes) -> bool:
        return bool(version(head))

    def read(self, match: "Match") -> "Reader":
        head = yield Bytes(0, 72 << 10, "the volume recognition sequence", short=True)
        match.variant = version(head)
        match.signatures = (START,)
        match.spawn(read_whole_disk(match))
        for at in ANCHORS:
            sector = yield Bytes(at, 512, "an anchor", short=True, essential=False)
            place = u32(sector, 12)
            if tag(sector) == ANCHOR and place and at % place == 0 and at // place in SECTORS:
                match.note("anchor", f"sector {place} of {at // place} bytes", at)
                yield from _sequence(match, u32(sector, 20), u32(sector, 16), at // place)
                return
        # The anchor may be at the end, or at the start of a later session; an open disc has only these.
        match.note("anchor", "none at sectors 256 and 512")


def tag(descriptor: bytes) -> int:
    """The type of a descriptor by its tag; 0 if the checksum of the tag is wrong (ECMA-167, 3/7.2)."""
    if len(descriptor) < 16 or sum(descriptor[:4] + descriptor[5:16]) & 0xFF != descriptor[4]:
        return 0
    return u16(descriptor, 0)


def _sequence(match: "Match", first: int, length: int, size: int) -> "Reader":
    """Read the volume descriptors, `length` bytes from sector `first` on."""
    for number in range(min(length // size, MAX_DESCRIPTORS)):
        at = (first + number) * size
        descriptor = yield Bytes(at, 512, "a volume descriptor", short=True, essential=False)
        kind = tag(descriptor)
        if kind == PRIMARY:
            match.note("volume", _name(descriptor[24:56]), at + 24)
        elif kind == LOGICAL:
            match.note("block size", u32(descriptor, 212), at + 212)
        elif kind == PARTITION:
            begin, count = u32(descriptor, 188), u32(descriptor, 192)
            match.note("partition", f"{count} sectors from {begin}", at + 188)
            # The partition of an appendable disc is as large as the disc, but an image has only what was written.
            if u32(descriptor, 184) in (READ_ONLY, OVERWRITABLE):
                match.must_reach((begin + count) * size, "the partition")
        elif kind in (TERMINATING, 0):
            return


def _name(field: bytes) -> str:
    """A string of OSTA compressed Unicode: 8 or 16 bits a character, the length in the last byte."""
    text = field[1 : max(1, min(field[-1], len(field) - 1))]
    return text.decode("latin-1" if field[0] == 8 else "utf-16-be", "replace")
