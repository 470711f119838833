"""Zip archives: read from the start as the bytes go by, then from the end, and both must tell the same."""

from . import member_names, zip_directory
from .base import Format
from .requests import TAIL_BYTES, Bytes, Inside, Tail
from .zip_directory import Entry, ZipError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from .match import Match
    from .requests import Reader
    from .zip_directory import Directory

MAX_MEMBERS = 1024
"""More are refused; their directory fits into the last 128 KiB with it."""

MAX_LOOKED_INTO = 16
MAX_MEMBER_BYTES = 64 << 40
_DEFLATE_RATIO = 1040
"""Deflate makes at most 258 bytes of two bits: 1032:1; a header that claims more is not of a real member."""

_BESIDE = (
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
"""Names of what is put beside an image: no program takes these for it."""

_BESIDE_BYTES = 1 << 20
_FORMAT_BITS, _REGULAR, _DIRECTORY = 0o170000, 0o100000, 0o040000


class Zip(Format):
    """By its first local header or, for what has something before it, by its last record."""

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
        # Programs that read from the end allow for bytes in front of the archive (Python's zipfile, unzip).
        return size == 0xFFFFFFFF or tail[max(0, at - size) : at].startswith(zip_directory.CENTRAL)

    def read(self, match: "Match") -> "Reader":
        locals_at: dict[int, Entry] = {}
        end = None
        if match.at == "start":
            end = yield from _walk(match, locals_at)
        tail = yield Tail(TAIL_BYTES)
        try:
            _judge(match, tail, locals_at, end)
        except ZipError as error:
            match.find("archive", str(error), error.offset)


def _walk(match: "Match", found: "dict[int, Entry]") -> "Generator[Any, Any, int | None]":
    """Local headers from the start on. Returns the offset of what is none; None if it could not go on to there."""
    at = looked_into = 0
    while len(found) <= MAX_MEMBERS:
        fixed = yield Bytes(at, zip_directory.LOCAL_BYTES, "a local header", short=True)
        if not fixed.startswith(zip_directory.LOCAL) or len(fixed) < zip_directory.LOCAL_BYTES:
            return at
        rest = yield Bytes(at + len(fixed), zip_directory.lengths_in(fixed), "a local header", short=True)
        try:
            entry = Entry(fixed + rest, at, central=False)
        except ZipError as error:
            match.find("archive", str(error), error.offset)
            return None
        found[at] = entry
        data = at + entry.length
        if entry.method == 0 and entry.packed and not entry.encrypted and looked_into < MAX_LOOKED_INTO:
            looked_into += 1
            yield Inside(data, entry.packed, member_names.normal(entry.name) or "member")
        if entry.flags & zip_directory.DESCRIPTOR and not entry.is_directory:
            return None  # sizes, or at least a record of them, follow the data
        at = data + entry.packed
    return None


def _judge(match: "Match", tail: bytes, found: "dict[int, Entry]", end: "int | None") -> None:
    directory = zip_directory.find_directory(tail, match.total)
    if directory is None:
        match.find("truncated", "it has no central directory at its end")
        return
    match.note("members", directory.count, directory.offset)
    base = match.total - len(tail)
    if directory.count > MAX_MEMBERS or directory.offset < base:
        match.find("archive", f"it has {directory.count} members, or their directory is too large")
        return
    data = tail[directory.offset - base : directory.offset - base + directory.size]
    members = sorted(zip_directory.entries(directory, data), key=lambda entry: entry.offset)
    seen: set[str] = set()
    for entry in members:
        _check(match, entry, seen)
    _check_places(members, directory)
    _compare(match, members, found, end, directory)
    images = [entry for entry in members if not entry.is_directory and not _is_beside(entry)]
    if len(images) != 1:
        names = ", ".join(member_names.shown(entry.name) for entry in images[:4])
        match.find("archive", f"it has {len(images)} files that may be an image, and not one: {names}")
    if directory.end != match.total:
        match.find("trailing-data", f"{match.total - directory.end} bytes stand behind its end", directory.end)


def _check(match: "Match", entry: Entry, seen: "set[str]") -> None:
    shown = member_names.shown(entry.name)
    match.note("member", f"{shown}, {entry.size} bytes, method {entry.method}", entry.offset)
    for name in entry.names:
        why = member_names.why_unsafe(name)
        if why:
            match.find("member-name", f"the name {member_names.shown(name)} {why}", entry.offset)
    if member_names.normal(entry.name) in seen:
        match.find("member-twice", f"{shown} stands there twice", entry.offset)
    seen.add(member_names.normal(entry.name))
    kind = entry.mode & _FORMAT_BITS
    if kind not in (0, _REGULAR, _DIRECTORY) or (entry.is_directory and kind == _REGULAR and entry.size):
        match.find("member-type", f"{shown} is no file: its mode is {entry.mode:o}", entry.offset)
    if entry.encrypted:
        match.find("encrypted", f"{shown} is encrypted", entry.offset)
    absurd = entry.method == 8 and entry.size > (entry.packed + 64) * _DEFLATE_RATIO
    if absurd or entry.size > MAX_MEMBER_BYTES:
        match.find("member-size", f"{shown} claims {entry.size} bytes, made of {entry.packed}", entry.offset)
    if (entry.method == 0 and not entry.encrypted and entry.packed != entry.size) or (
        entry.is_directory and entry.size
    ):
        match.find("archive", f"{shown} has two sizes, {entry.packed} and {entry.size}", entry.offset)
    if entry.method not in (0, 8):
        match.find("odd", f"{shown} is compressed with method {entry.method}", entry.offset)


def _check_places(members: "list[Entry]", directory: "Directory") -> None:
    """Members must not share bytes: 46 MB of overlapping ones unpack to 4.5 PB (D. Fifield, "A better zip bomb")."""
    for one, behind in zip(members, [*members[1:], None], strict=False):
        next_at = behind.offset if behind else directory.offset
        if one.offset + zip_directory.LOCAL_BYTES + one.packed > next_at:
            raise ZipError(f"{member_names.shown(one.name)} reaches into what follows it", one.offset)


def _compare(
    match: "Match", members: "list[Entry]", found: "dict[int, Entry]", end: "int | None", directory: "Directory"
) -> None:
    if members and members[0].offset:
        raise ZipError("something stands before its first member", 0)
    listed = {entry.offset for entry in members}
    for offset, local in found.items():
        if offset not in listed and offset < directory.offset:
            raise ZipError(f"{member_names.shown(local.name)} is not in the central directory", offset)
    if end is not None and end != directory.offset:
        raise ZipError("something stands between the members and the central directory", end)
    for entry in members:
        other = found.get(entry.offset)
        if other is None:
            if end is not None and match.at == "start":
                raise ZipError(f"{member_names.shown(entry.name)} is not where the directory says", entry.offset)
            continue
        same = (other.name, other.method, other.encrypted) == (entry.name, entry.method, entry.encrypted)
        if not other.flags & zip_directory.DESCRIPTOR:
            same = same and (other.packed, other.size, other.crc) == (entry.packed, entry.size, entry.crc)
        if not same:
            raise ZipError(f"{member_names.shown(entry.name)} is told differently by its own header", entry.offset)


def _is_beside(entry: Entry) -> bool:
    return entry.size <= _BESIDE_BYTES and entry.name.lower().endswith(_BESIDE)
