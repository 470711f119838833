"""The members of a tar archive, one after the other, as they arrive. A name is compared, and never a path."""

from __future__ import annotations

from douane.plugins.formats import member_names, tar_headers
from douane.plugins.formats.tar import MAX_MEMBER_BYTES
from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from douane.plugins.formats.tar_headers import End, Member

    class Bytes(Protocol):
        """Bytes in order: what :class:`ByteReader` and :class:`FileBytes` have in common."""

        offset: int

        def take(self, most: int) -> memoryview: ...
        def read(self, count: int) -> bytes: ...
        def skip(self, count: int) -> bool: ...


_PIECE = 1 << 20
_ZEROS = memoryview(bytes(_PIECE))


class Archive:
    """A tar archive that is read once, from its first byte to its last.

    `source` gives its bytes, `most` is how many members it may have, `warn` tells the tenant something.
    """

    def __init__(self, source: Bytes, most: int, warn: Callable[[str, str], None]) -> None:
        self._source = source
        self._most = most
        self.warn = warn
        self.fault: Reject | None = None
        """What is wrong with a name, a type or a size so far; raised as soon as :attr:`strict` is true."""
        self.strict = False
        """False while it may yet be an archive of another kind, which is nobody's business here."""
        self.sizes: dict[str, int] = {}
        """The files so far, by :func:`member_names.normal`, and their lengths when unpacked."""

    def members(self) -> Iterator[Member]:
        """Yield files and directories; what of a file's data was not read by then is passed over. Raises Reject."""
        at = count = 0
        while isinstance(member := self._next(at), tar_headers.Member):
            count += 1
            if count > self._most:
                if not self.strict:
                    return  # whatever it is, no appliance has as many files before its descriptor
                raise Reject("ova-members", f"the archive has more than {self._most} members; pack only the appliance")
            self._check(member)
            yield member
            if not self._go_to(member.data_offset + member.stored):
                raise _truncated()
            at = member.end
        if self.strict:
            self._end(member)

    def data(self, member: Member) -> Iterator[memoryview]:
        """Yield the bytes of `member`, holes as zeros, in pieces that are valid until the next. Raises Reject."""
        if not self._go_to(member.data_offset):
            raise _truncated()
        if member.extents is None:
            yield from self._stored(member.stored)
            return
        at = 0
        for offset, length in (*member.extents, (member.size, 0)):
            while at < offset:
                piece = _ZEROS[: offset - at]
                at += len(piece)
                yield piece
            yield from self._stored(length)
            at += length

    def text(self, member: Member, most: int, code: str) -> bytes:
        """All bytes of a small `member`. Raises Reject (`code`) if there are more than `most`."""
        if max(member.size, member.stored) > most:
            raise Reject(
                code,
                f"{member_names.shown(member.name)} claims {member.size} bytes, and at most {most} are read of it; "
                "export the appliance again",
            )
        return b"".join(map(bytes, self.data(member)))

    def _stored(self, left: int) -> Iterator[memoryview]:
        while left:
            piece = self._source.take(min(left, _PIECE))
            if not piece:
                raise _truncated()
            left -= len(piece)
            yield piece

    def _go_to(self, offset: int) -> bool:
        return self._source.skip(offset - self._source.offset)

    def _next(self, offset: int) -> Member | End:
        steps = tar_headers.read_member(offset)
        try:
            at, length = next(steps)
            while True:
                self._go_to(at)
                at, length = steps.send(self._source.read(length))
        except StopIteration as done:
            found: Member | End = done.value
            return found
        except tar_headers.TarTruncated as error:
            raise _truncated() from error
        except tar_headers.TarError as error:
            raise Reject(
                "ova-archive", f"the archive cannot be read without doubt: {error}; pack the appliance again"
            ) from error

    def _check(self, member: Member) -> None:
        name, shown = member_names.normal(member.name), member_names.shown(member.name)
        why = member_names.why_unsafe(member.name)
        if why:
            self._find(
                Reject("ova-member-name", f"the member {shown} {why}; pack the appliance again, with plain names")
            )
        if member.kind not in ("file", "directory"):
            kind = member.kind or f"thing of type {member.flag!r}"
            self._find(Reject("ova-member-type", f"the member {shown} is no file but a {kind}; pack plain files only"))
        if max(member.size, member.stored) > MAX_MEMBER_BYTES:
            told = f"the member {shown} claims {member.size} bytes, more than any disk has; pack the appliance again"
            self._find(Reject("ova-member-size", told))
        if member.kind == "directory":
            return
        if name in self.sizes:
            told = f"the member {shown} stands in the archive twice; pack the appliance again"
            self._find(Reject("ova-member-twice", told))
        self.sizes[name] = member.size

    def _find(self, fault: Reject) -> None:
        self.fault = self.fault or fault
        self.raise_fault()

    def raise_fault(self) -> None:
        """Raise :attr:`fault` if there is one, and it is our business."""
        if self.strict and self.fault is not None:
            raise self.fault

    def _end(self, end: End) -> None:
        """What stands behind the end: zeros, as tapes and tar fill up, or what nobody will see."""
        if not end.blocks:
            self.warn("ova-no-end-mark", "the archive has no mark at its end; if it was cut there, nobody can tell")
        self._go_to(end.offset)
        while piece := self._source.take(_PIECE):
            if piece != _ZEROS[: len(piece)]:
                break
        else:
            return
        if end.blocks == 1:
            # BusyBox's tar goes on behind a single block of zeros, GNU's and Python's end there.
            raise Reject(
                "ova-archive",
                "something stands behind half of the archive's end mark, which only some programs read; pack it again",
            )
        self.warn("ova-trailing-data", "something stands behind the end of the archive; it is no part of the image")


def _truncated() -> Reject:
    return Reject("ova-truncated", "the image is cut short: its archive ends inside a member; upload all of it")
