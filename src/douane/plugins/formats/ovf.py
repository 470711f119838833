"""A lone OVF descriptor: the description of a virtual appliance, without its disks (DMTF DSP0243)."""

from . import member_names
from .base import REFUSE, WARN, Format
from .requests import MAX_BYTES, Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .match import Match
    from .ovf_document import File, OvfDocument
    from .requests import Reader

_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_WITHOUT_MARK = ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))  # XML 1.0, annex F


class Ovf(Format):
    """XML with the root element ``Envelope``, in a namespace of OVF or in none (SOAP has an Envelope too)."""

    name = "ovf"
    about = "the description of a machine, without its disks"
    kind = "other"
    codes = (
        ("ovf", REFUSE, "; export it again"),
        ("capacity", WARN, "; the size of the disk counts"),
        ("xml", REFUSE, "; export it again"),
        ("manifest", REFUSE, "; export it again"),
    )

    def begins(self, head: bytes) -> bool:
        if not head or head[0] not in b"<\xef\xff\xfe\0 \t\r\n" or head.startswith(b"\0\0"):
            return False
        return _is_envelope(_as_text(head))

    def read(self, match: "Match") -> "Reader":
        from . import ovf_document

        data = bytearray()
        while len(data) <= ovf_document.MAX_BYTES:
            piece = yield Bytes(len(data), MAX_BYTES, "the descriptor", short=True)
            data += piece
            if len(piece) < MAX_BYTES:
                break
        try:
            document = ovf_document.parse(bytes(data))
        except ovf_document.OvfError as error:
            match.find(error.code, str(error))
            return
        describe(match, document)
        for code, detail in faults(document):
            match.find(code, detail, help="export it again" if code == "version" else "")


def describe(match: "Match", document: "OvfDocument") -> None:
    """Note the main contents of a descriptor."""
    match.variant = document.version
    match.note("namespace", document.namespace)
    match.note("virtual systems", len(document.systems))
    for file in list(document.files.values())[:16]:
        match.note("file", f"{file.id}: {file.href}{f', {file.compression}' if file.compression else ''}")
    for disk in document.disks[:16]:
        match.note("disk", f"{disk.id}: file {disk.file_ref or 'none'}, capacity {disk.capacity_text}, {disk.format}")


def faults(document: "OvfDocument") -> "Iterator[tuple[str, str]]":
    """Codes and details of what makes a descriptor unsafe by itself."""
    if not document.version:
        yield "version", f"the descriptor is in the unknown namespace {document.namespace[:80]!r}"
    for file in document.files.values():
        for href in hrefs(file):
            fault = "names another place" if has_scheme(href) else member_names.why_unsafe(href)
            if fault:
                yield "ovf", f"the href {member_names.quoted(href)} {fault}"
                break
        if file.compression not in ("", "gzip"):
            yield "ovf", f"the compression {file.compression[:40]!r} of {member_names.quoted(file.href)} is unknown"
    ids = {disk.id for disk in document.disks}
    for disk in document.disks:
        if disk.file_ref and disk.file_ref not in document.files:
            yield "ovf", f"the disk {disk.id[:80]!r} is in the file {disk.file_ref[:80]!r}, which is not described"
        if disk.parent_ref:
            addition = "" if disk.parent_ref in ids else ", which is not described"
            yield "parent", f"the disk {disk.id[:80]!r} is the difference to {disk.parent_ref[:80]!r}{addition}"


def hrefs(file: "File") -> "tuple[str, ...]":
    """The name of a file as written, and without percent-encoding if it has any (RFC 3986)."""
    if "%" not in file.href:
        return (file.href,)
    from urllib.parse import unquote

    return file.href, unquote(file.href, errors="surrogateescape")


def has_scheme(href: str) -> bool:
    """True for ``http:...``, ``file:...`` and a drive's letter (RFC 3986, 3.1)."""
    scheme, colon, _ = href.partition(":")
    letters = scheme.replace("+", "").replace("-", "").replace(".", "")
    return bool(colon) and scheme[:1].isalpha() and letters.isascii() and letters.isalnum()


def _as_text(head: bytes) -> str:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return head[len(mark) :].decode(encoding, "replace")
    for start, encoding in _WITHOUT_MARK:
        if head.startswith(start):
            return head.decode(encoding, "replace")
    return head.decode("latin-1")  # for every extension of ASCII: names and namespaces are ASCII


def _is_envelope(text: str) -> bool:
    """True if the first element, after declarations and comments, is an Envelope of OVF."""
    at = 0
    while True:
        while text[at : at + 1] in (" ", "\t", "\r", "\n"):
            at += 1
        if text.startswith("<!--", at):
            end, ending = text.find("-->", at + 4), 3
        elif text.startswith("<?", at):
            end, ending = text.find("?>", at + 2), 2
        elif text.startswith("<!DOCTYPE", at):
            return "<Envelope" in text or ":Envelope" in text  # never safe, so precision is not needed
        else:
            break
        if end < 0:
            return False
        at = end + ending
    if not text.startswith("<", at):
        return False
    tag = text[at + 1 :].partition(">")[0]
    words = tag.split(None, 1)
    if not _names_envelope(words[:1]):
        return False
    prefix = words[0].partition(":")[0] if ":" in words[0] else ""
    declared = tag.partition(f"xmlns:{prefix}" if prefix else "xmlns=")
    if not declared[1]:
        return not prefix
    value = declared[2].lstrip("= \t\r\n")
    namespace = value[1:].partition(value[:1])[0] if value[:1] in ("'", '"') else ""
    return not namespace or "ovf" in namespace


def _names_envelope(words: "list[str]") -> bool:
    return bool(words) and words[0].rpartition(":")[2].rstrip("/[>") == "Envelope"
