"""The description of a Parallels disk, ``DiskDescriptor.xml``: it names the files of the disk."""

from .base import Format
from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

SEARCHED = 64 << 10
ROOT = b"<Parallels_disk_image"


class ParallelsXml(Format):
    """``parallels-xml``; the files that it names are ``parallels`` (qemu, docs/interop/prl-xml.rst)."""

    name = "parallels-xml"
    about = "the description of a bundle of Parallels, which names the files of the disk"
    disk_format = "parallels"
    kind = "other"

    def begins(self, head: bytes) -> bool:
        start = head[:4096].removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
        return start.startswith(b"<") and ROOT in start

    def read(self, match: "Match") -> "Reader":
        text = yield Bytes(0, SEARCHED, "the description", short=True)
        match.note("Version", _attribute(text, b"Version="))
        sectors = _element(text, b"Disk_size")
        if sectors.isdigit() and len(sectors) < 16:
            match.virtual_size = int(sectors) * 512
            match.note("Disk_size", sectors)
        names = _element(text, b"File")
        match.find("external-extent", f"it describes a disk in other files: {names!r}"[:200])


def _element(text: bytes, name: bytes) -> str:
    """The text of the first element `name`. The XML is not parsed: the text is shown and not used."""
    inner = text.partition(b"<" + name + b">")[2].partition(b"</" + name + b">")[0]
    return inner[:200].decode("utf-8", "replace").strip()


def _attribute(text: bytes, name: bytes) -> str:
    inner = text.partition(ROOT)[2].partition(b">")[0].partition(name)[2]
    return inner[1:50].decode("utf-8", "replace").partition(inner[:1].decode("latin-1") or '"')[0]
