"""Tar archives, and OVAs, which are tar archives with an OVF descriptor (DMTF DSP0243, 5.2)."""

from . import member_names, tar_blocks, tar_headers
from .base import Format
from .ovf_references import APPLE_DOUBLE, may_be_apple_double
from .requests import MAX_BYTES, Bytes, Inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from .match import Match
    from .ova import Package
    from .requests import Reader
    from .tar_blocks import TarEnd, TarMember
    from .tar_contents import Contents

MAX_MEMBERS = 65536
MAX_LOOKED_INTO = 64
"""Members that are examined. An OVA with more is refused; in another archive only the names of the rest are checked."""

MAX_MEMBER_BYTES = 64 << 40
"""A larger member is impossible: no disk format has larger disks (VHDX: 64 TiB)."""


class Tar(Format):
    """A tar archive of any kind; its look is called ``ova`` once a descriptor is among the members."""

    name = "tar"
    about = "an archive"
    other_names = (
        ("ova", "a tar archive with an OVF descriptor; the disks in it are examined as images of their own"),
    )
    kind = "archive"
    allowed = True

    def begins(self, head: bytes) -> bool:
        return tar_headers.begins_archive(head)

    def read(self, match: "Match") -> "Reader":
        from .ova import Package
        from .tar_contents import Contents

        package, contents = Package(match), Contents(match)
        names: set[int] = set()
        at = count = 0
        while True:
            member = yield from _next(match, at)
            if member is None:
                return
            if isinstance(member, tar_blocks.TarEnd):
                break
            count += 1
            if count > MAX_MEMBERS:
                match.find("archive", f"it has more than {MAX_MEMBERS} members", at, help="pack the image alone")
                return
            if _check(match, member, names):
                package.add_again(member_names.normal(member.name), member.offset)
            if member.kind == "file":
                yield from _look_into(match, member, package, contents)
            at = member.end
        match.note("members", count)
        package.judge()
        yield from _check_end(match, member)


def _next(match: "Match", offset: int) -> "Generator[Any, Any, TarMember | TarEnd | None]":
    """Read the member or the end at `offset`; None, and a finding, if there is neither."""
    steps = tar_headers.read_member(offset)
    try:
        need = next(steps)
        while True:
            piece = yield Bytes(*need, "a header of the archive", short=True)
            need = steps.send(piece)
    except StopIteration as stop:
        member: TarMember | TarEnd = stop.value
        return member
    except tar_blocks.TarTruncated as error:
        match.find("truncated", str(error), error.offset)
    except tar_blocks.TarError as error:
        match.find("archive", str(error), error.offset)
    return None


def _check(match: "Match", member: "TarMember", names: "set[int]") -> bool:
    """Judge the name, type and size of a member; True if its name is among `names`, the hashes of earlier names."""
    name, quoted = member_names.normal(member.name), member_names.quoted(member.name)
    match.note("member", f"{quoted}, {member.kind or member.flag!r}, {member.size} bytes", member.offset)
    fault = member_names.why_unsafe(member.name)
    if fault:
        match.find("member-name", f"the name {quoted} {fault}", member.offset)
    if member.kind not in ("file", "directory"):
        link = f" to {member_names.quoted(member.link)}" if member.kind.endswith("link") else ""
        kind = member.kind or f"type {member.flag!r}"
        match.find("member-type", f"{quoted} is no file but a {kind}{link}", member.offset)
    if max(member.size, member.stored) > MAX_MEMBER_BYTES:
        match.find("member-size", f"{quoted} claims {member.size} bytes, more than any disk has", member.offset)
    is_known = hash(name) in names
    names.add(hash(name))
    return is_known and member.kind != "directory"


def _look_into(
    match: "Match", member: "TarMember", package: "Package", contents: "Contents"
) -> "Generator[Any, Any, None]":
    name = member_names.normal(member.name)
    begin = b""
    if member.extents is None and may_be_apple_double(name):
        begin = yield Bytes(member.data_offset, min(member.size, len(APPLE_DOUBLE)), member_names.quoted(name))
        if begin == APPLE_DOUBLE:
            package.add_attributes(name, member.size)
            match.must_reach(member.data_offset + member.stored, member_names.quoted(name))
            return
    package.add(name, member.size)
    max_bytes = package.max_text_bytes(name)
    if max_bytes is not None and member.extents is None:
        data = bytearray(begin)
        if member.size <= max_bytes:
            while len(data) < member.size:
                length = min(MAX_BYTES, member.size - len(data))
                data += yield Bytes(member.data_offset + len(data), length, member_names.quoted(name))
        else:
            match.must_reach(member.data_offset + member.stored, member_names.quoted(name))
        package.take_text(name, bytes(data), too_long=member.size > max_bytes)
        return
    if not member.size:
        return
    if package.looked_into >= MAX_LOOKED_INTO and not package.continues(name):
        package.missed += 1
        match.must_reach(member.data_offset + member.stored, member_names.quoted(name))
    elif member.extents is not None:
        package.looked_into += 1
        package.take(name, (yield from contents.read_sparse(member)))
    elif begin:
        package.looked_into += 1
        package.take(name, (yield from contents.read_rest(member, begin)))
    elif package.is_part(name):
        yield from package.read_part(name, member)
    else:
        package.looked_into += 1
        package.take(name, (yield Inside(member.data_offset, member.stored, name)))


def _check_end(match: "Match", end: "TarEnd") -> "Reader":
    if not end.blocks:
        match.find("odd", "the archive has no end mark", end.offset)
    at = end.offset
    while True:
        piece = yield Bytes(at, MAX_BYTES, "the bytes after the archive", short=True)
        if not piece:
            return
        if piece.count(0) < len(piece):
            break
        at += len(piece)
    if end.blocks == 1:
        # BusyBox's tar continues behind a single block of zeros, GNU's and Python's end there.
        match.find("archive", "bytes follow half of the end mark, and some programs read them", end.offset)
    else:
        match.find("trailing-data", "bytes other than zeros follow the end of the archive", at)
