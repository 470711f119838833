"""The contents of members that are examined piece by piece: with holes, or with a beginning that has been read."""

from . import member_names
from .requests import MAX_BYTES, Assembled, Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from .match import InnerExamination, Match
    from .tar_blocks import TarMember

_ZEROS = memoryview(bytes(MAX_BYTES))
_MAX_ZEROS = 64 << 20
"""Bytes of holes that are shown to readers. Only tables made of holes ask for more."""


class Contents:
    """Examines members of the archive `match`, and adds the examinations to it."""

    def __init__(self, match: "Match") -> None:
        self.match = match
        self._zeros_left = _MAX_ZEROS

    def read_sparse(self, member: "TarMember") -> "Generator[Any, Any, InnerExamination | None]":
        """Examine a member with its holes; None, and a finding, if the holes are too large to be shown."""
        inner: InnerExamination = yield Assembled(member.size)
        name = member_names.normal(member.name)
        at = member.data_offset
        for offset, length in (*(member.extents or ()), (member.size, 0)):
            while inner.position < offset:
                skip = min(offset - inner.position, inner.skippable())
                inner.skip(skip)
                zeros = min(offset - inner.position, MAX_BYTES, self._zeros_left) if not skip else 0
                if not skip and not zeros:
                    detail = f"the holes of {member_names.quoted(name)} are too large to examine"
                    self.match.find("member-size", detail, help="pack it again, without --sparse")
                    return None
                self._zeros_left -= zeros
                inner.feed(_ZEROS[:zeros])
            yield from show(inner, at, length, name)
            at += length
        return self._end(inner, name)

    def read_rest(self, member: "TarMember", begin: bytes) -> "Generator[Any, Any, InnerExamination]":
        """Examine a member of which `begin` has been read."""
        inner: InnerExamination = yield Assembled(member.stored)
        name = member_names.normal(member.name)
        inner.feed(memoryview(begin))
        yield from show(inner, member.data_offset + len(begin), member.stored - len(begin), name)
        return self._end(inner, name)

    def _end(self, inner: "InnerExamination", name: str) -> "InnerExamination":
        inner.finish()
        self.match.inner.append((name, inner))
        return inner


def show(inner: "InnerExamination", offset: int, length: int, name: str) -> "Generator[Any, Any, None]":
    """Feed `inner` the `length` bytes of the archive at `offset`; `name` is that of the member."""
    end = offset + length
    while offset < end:
        piece = yield Bytes(offset, min(MAX_BYTES, end - offset), member_names.quoted(name))
        inner.feed(memoryview(piece))
        offset += len(piece)
