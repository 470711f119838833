"""The Expert Witness Compression Format: evidence files of forensic tools (specification of libewf)."""

from douane_guest.headers.numbers import u16, u32, u64

from .base import Format
from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

SIGNATURES = {
    b"EVF\x09\x0d\x0a\xff\x00": "EWF",
    b"LVF\x09\x0d\x0a\xff\x00": "EWF logical",
    b"EVF2\x0d\x0a\x81\x00": "EWF2",
    b"LEF2\x0d\x0a\x81\x00": "EWF2 logical",
}
SECTION = 76
MAX_SECTIONS = 1 << 16
"""The number of sections that are followed. A section of data has some 30 MB."""


class Ewf(Format):
    """A segment of an evidence file."""

    name = "ewf"
    about = "a segment of an evidence file (EnCase, `.E01`)"
    disk_format = "ewf"
    signatures = tuple((0, magic) for magic in SIGNATURES)

    def read(self, match: "Match") -> "Reader":
        head = yield Bytes(0, 32, "the header")
        match.variant = SIGNATURES.get(head[:8], "")
        if match.variant.startswith("EWF2"):
            segment = u32(head, 12)
            match.note("segment", segment, 12)
        else:
            segment = u16(head, 9)
            match.note("segment", segment, 9)
            yield from _sections(match)
        if segment != 1:
            match.find("external-extent", f"it is segment {segment} of an image in several files", 9)


def _sections(match: "Match") -> "Reader":
    at = 13
    for _ in range(MAX_SECTIONS):
        section = yield Bytes(at, SECTION, "a section", essential=False)
        kind, following = section[:16].rstrip(b"\0"), u64(section, 16)
        if kind in (b"volume", b"disk"):
            volume = yield Bytes(at + SECTION, 24, "the volume section")
            match.note("chunks", u32(volume, 4), at + SECTION + 4)
            sector, sectors = u32(volume, 12), u64(volume, 16)
            # In older versions the number of sectors has 32 bits, and the next field is not in use.
            match.virtual_size = sector * (sectors if sectors < 1 << 48 else sectors & 0xFFFFFFFF)
            match.note("disk", f"{sectors} sectors of {sector} bytes", at + SECTION + 12)
        elif kind == b"next":
            match.find("external-extent", "it continues in another file", at)
            return
        elif kind == b"done":
            return
        if following < at + SECTION:
            match.find("header", f"the section at {at} points back to {following}", at + 16)
            return
        at = following
    match.find("unchecked", f"it has more than {MAX_SECTIONS} sections")
