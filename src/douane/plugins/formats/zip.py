"""Zip archives: read from the start as the bytes go by, then from the end; both must agree."""

from . import member_names, zip_directory
from .base import Format
from .requests import NO_END, TAIL_BYTES, Bytes, Inside, Tail
from .zip_directory import Entry, ZipError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from .match import Match
    from .requests import Reader
    from .zip_directory import Directory

MAX_MEMBERS = 1024
"""More are refused; a directory of as many fits into the last 128 KiB."""

MAX_LOOKED_INTO = 16
MAX_MEMBER_BYTES = 64 << 40
_DEFLATE_RATIO = 1040
"""Deflate packs at most 258 bytes into two bits: 1032:1; a header that claims more is false."""

_COMPANIONS = (
    ".txt",
    ".md",
    ".sha1",
    ".sha256",
    ".sha512",
    ".md5",
    ".asc",
    ".sig",
    ".pdf",
    ".html",
    ".json",
    ".yml",
    ".yaml",
)
"""Names of files that accompany an image: no program takes these for the image."""

_MAX_COMPANION_BYTES = 1 << 20


class Zip(Format):
    """Recognised by its first local header or, with other bytes before the archive, by its last record."""

    name = "zip"
    about = "an archive"
    kind = "archive"
    allowed = True
    decoder = "douane.plugins.decompress.zip"

    def begins(self, head: bytes) -> bool:
        if head.startswith(zip_directory.END):
            return len(head) >= zip_directory.END_BYTES
        return head.startswith((zip_directory.LOCAL, *zip_directory.SPLIT))

    def ends(self, tail: bytes, total: int) -> bool:
        at = tail.rfind(zip_directory.END)
        if at < 0 or len(tail) - at != 22 + int.from_bytes(tail[at + 20 : at + 22], "little"):
            return False
        size = int.from_bytes(tail[at + 12 : at + 16], "little")
        # Programs that read from the end accept bytes in front of the archive (Python's zipfile, unzip).
        return size == 0xFFFFFFFF or tail[max(0, at - size) : at].startswith(zip_directory.CENTRAL)

    def read(self, match: "Match") -> "Reader":
        local_entries: dict[int, Entry] = {}
        end = None
        if match.at == "start":
            end = yield from _walk(match, local_entries)
        tail = yield Tail(TAIL_BYTES)
        if match.at == "end":
            match.signatures = (match.total - len(tail) + tail.rfind(zip_directory.END),)
        try:
            _judge(match, tail, local_entries, end)
        except ZipError as error:
            is_short = isinstance(error, zip_directory.ZipTruncated)
            match.find("archive", str(error), error.offset, help=NO_END if is_short else "")


def _walk(match: "Match", local_entries: "dict[int, Entry]") -> "Generator[Any, Any, int | None]":
    """Read local headers from the start on, up to the first offset without one; return that, None if not reached."""
    at = looked_into = 0
    while len(local_entries) <= MAX_MEMBERS:
        fixed = yield Bytes(at, zip_directory.LOCAL_BYTES, "a local header", short=True)
        if not fixed.startswith(zip_directory.LOCAL) or len(fixed) < zip_directory.LOCAL_BYTES:
            return at
        rest = yield Bytes(at + len(fixed), zip_directory.lengths_in(fixed), "a local header", short=True)
        try:
            entry = Entry(fixed + rest, at, central=False)
        except ZipError as error:
            match.find("archive", str(error), error.offset)
            return None
        local_entries[at] = entry
        data = at + entry.length
        if entry.method == 0 and entry.packed and not entry.encrypted and looked_into < MAX_LOOKED_INTO:
            looked_into += 1
            yield Inside(data, entry.packed, member_names.normal(entry.name) or "member")
        if entry.flags & zip_directory.DESCRIPTOR and not entry.is_directory:
            return None  # the sizes, or at least a record of them, follow the data
        at = data + entry.packed
    return None


def _judge(match: "Match", tail: bytes, local_entries: "dict[int, Entry]", end: "int | None") -> None:
    directory = zip_directory.find_directory(tail, match.total)
    if directory is None:
        match.find("truncated", "it does not end with its central directory", help=NO_END)
        return
    match.note("members", directory.count, directory.offset)
    base = match.total - len(tail)
    if directory.count > MAX_MEMBERS or directory.offset < base:
        detail = f"it has {directory.count} members in a directory of {directory.size} bytes"
        match.find("archive", f"{detail}; at most {MAX_MEMBERS} members are examined", help="pack the image alone")
        return
    data = tail[directory.offset - base : directory.offset - base + directory.size]
    members = sorted(zip_directory.entries(directory, data), key=lambda entry: entry.offset)
    names: set[str] = set()
    for entry in members:
        _check(match, entry, names)
    _check_places(members, directory)
    _compare(match, members, local_entries, end, directory)
    images = [entry for entry in members if not entry.is_directory and not _is_companion(entry)]
    if len(images) != 1:
        listed = ", ".join(member_names.quoted(entry.name) for entry in images[:4])
        detail = (
            f"it has {len(images)} files that may be the image: {listed}" if images else "it has no file for an image"
        )
        match.find("archive", detail, help="pack the image alone")
    if directory.end != match.total:
        match.find("trailing-data", f"{match.total - directory.end} bytes follow its end", directory.end)


def _check(match: "Match", entry: Entry, names: "set[str]") -> None:
    """Judge the names, type and size of a member; `names` has those of earlier members."""
    quoted = member_names.quoted(entry.name)
    match.note("member", f"{quoted}, {entry.size} bytes, method {entry.method}", entry.offset)
    for name in entry.names:
        fault = member_names.why_unsafe(name)
        if fault:
            match.find("member-name", f"the name {member_names.quoted(name)} {fault}", entry.offset)
    if member_names.normal(entry.name) in names:
        match.find("member-twice", f"{quoted} is there twice", entry.offset)
    names.add(member_names.normal(entry.name))
    if entry.is_special:
        match.find("member-type", f"{quoted} is no file: its mode is {entry.mode:o}", entry.offset)
    if entry.encrypted:
        match.find("encrypted", f"{quoted} is encrypted", entry.offset)
    absurd = entry.method == 8 and entry.size > (entry.packed + 64) * _DEFLATE_RATIO
    if absurd or entry.size > MAX_MEMBER_BYTES:
        match.find("member-size", f"{quoted} claims {entry.size} bytes, packed into {entry.packed}", entry.offset)
    if (entry.method == 0 and not entry.encrypted and entry.packed != entry.size) or (
        entry.is_directory and entry.size
    ):
        match.find("archive", f"{quoted} has two sizes, {entry.packed} and {entry.size}", entry.offset)
    if entry.method not in (0, 8):
        match.find("odd", f"{quoted} is compressed with method {entry.method}", entry.offset)


def _check_places(members: "list[Entry]", directory: "Directory") -> None:
    """Raise ZipError if members share bytes: 46 MB of them unpack to 4.5 PB (D. Fifield, "A better zip bomb")."""
    ends = [*(entry.offset for entry in members[1:]), directory.offset]
    for entry, end in zip(members, ends, strict=False):
        if entry.offset + zip_directory.LOCAL_BYTES + entry.packed > end:
            raise ZipError(f"{member_names.quoted(entry.name)} reaches into the bytes after it", entry.offset)


def _compare(
    match: "Match", members: "list[Entry]", local_entries: "dict[int, Entry]", end: "int | None", directory: "Directory"
) -> None:
    if members and members[0].offset:
        raise ZipError("bytes stand before its first member", 0)
    listed = {entry.offset for entry in members}
    for offset, local in local_entries.items():
        if offset not in listed and offset < directory.offset:
            raise ZipError(f"{member_names.quoted(local.name)} is not in the central directory", offset)
    if end is not None and end != directory.offset:
        raise ZipError("bytes stand between the members and the central directory", end)
    for entry in members:
        header = local_entries.get(entry.offset)
        if header is None:
            if end is not None and match.at == "start":
                raise ZipError(f"{member_names.quoted(entry.name)} is not where the directory says", entry.offset)
            continue
        same = (header.name, header.method, header.encrypted) == (entry.name, entry.method, entry.encrypted)
        if not header.flags & zip_directory.DESCRIPTOR:
            same = same and (header.packed, header.size, header.crc) == (entry.packed, entry.size, entry.crc)
        if not same:
            raise ZipError(f"{member_names.quoted(entry.name)} differs from its own header", entry.offset)


def _is_companion(entry: Entry) -> bool:
    return entry.size <= _MAX_COMPANION_BYTES and entry.name.lower().endswith(_COMPANIONS)
