"""The members of a tar archive, one after the other, as they arrive. Names are compared, and never used as paths."""

from __future__ import annotations

from douane.plugins.formats import member_names, tar_blocks, tar_headers
from douane.plugins.formats.tar import MAX_MEMBER_BYTES
from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from douane.plugins.formats.tar_blocks import TarEnd, TarMember

    class Source(Protocol):
        """The methods that :class:`ByteReader` and :class:`FileReader` have in common."""

        offset: int

        def take(self, limit: int) -> memoryview: ...
        def peek(self, count: int) -> bytes: ...
        def read(self, count: int) -> bytes: ...
        def skip(self, count: int) -> bool: ...
        def put_back(self, data: bytes) -> None: ...


_PIECE = 1 << 20
_ZEROS = memoryview(bytes(_PIECE))


class Archive:
    """A tar archive that is read once, from its first byte to its last.

    `source` has its bytes, `max_members` is the limit of members, `warn` takes the code and the message of a warning.
    All codes begin with `prefix`.
    """

    def __init__(
        self, source: Source, max_members: int, warn: Callable[[str, str], None], *, prefix: str = "ova"
    ) -> None:
        self._source = source
        self._prefix = prefix
        self._max_members = max_members
        self.warn = warn
        self.fault: Reject | None = None
        """The first wrong name, type or size so far; raised as soon as :attr:`strict` is true."""
        self.strict = False
        """False while the archive may be no appliance, and pass with all its faults."""
        self.sizes: dict[str, int] = {}
        """The files so far, by :func:`member_names.normal`, and their lengths when unpacked."""
        self.twice: list[str] = []
        """The names in :attr:`sizes` that another file had before."""

    def members(self) -> Iterator[TarMember]:
        """Yield files and directories; pass over the data that was not read in between. Raises Reject."""
        at = count = 0
        while isinstance(member := self._next(at), tar_blocks.TarMember):
            count += 1
            if count > self._max_members:
                if not self.strict:
                    return  # no appliance has as many files before its descriptor
                prefix = self._prefix
                raise Reject(
                    f"{prefix}-members",
                    f"the archive has more than {self._max_members} members; pack only the files that are needed",
                )
            self._check(member)
            yield member
            if not self._go_to(member.data_offset + member.stored):
                raise self._truncated()
            at = member.end
        if self.strict:
            self._check_end(member)

    def data(self, member: TarMember) -> Iterator[memoryview]:
        """Yield the bytes of `member`, holes as zeros, in pieces that are valid until the next. Raises Reject."""
        if not self._go_to(member.data_offset):
            raise self._truncated()
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

    def begin(self, member: TarMember, count: int) -> bytes:
        """The first `count` bytes of `member` as they are in the archive, fewer if it is shorter; they come again."""
        return self._source.peek(min(count, member.stored)) if self._go_to(member.data_offset) else b""

    def text(self, member: TarMember, max_bytes: int, code: str) -> bytes:
        """All bytes of a small `member`. Raises Reject (`code`) if there are more than `max_bytes`."""
        if max(member.size, member.stored) > max_bytes:
            raise Reject(
                code,
                f"{member_names.quoted(member.name)} claims {member.size} bytes, and at most {max_bytes} are read of "
                "it; export the appliance again",
            )
        return b"".join(map(bytes, self.data(member)))

    def _stored(self, length: int) -> Iterator[memoryview]:
        while length:
            piece = self._source.take(min(length, _PIECE))
            if not piece:
                raise self._truncated()
            length -= len(piece)
            yield piece

    def _go_to(self, offset: int) -> bool:
        return self._source.skip(offset - self._source.offset)

    def _next(self, offset: int) -> TarMember | TarEnd:
        steps = tar_headers.read_member(offset)
        piece = b""
        try:
            at, length = next(steps)
            while True:
                self._go_to(at)
                piece = self._source.read(length)
                at, length = steps.send(piece)
        except StopIteration as stop:
            member: TarMember | TarEnd = stop.value
            if isinstance(member, tar_blocks.TarEnd) and self._source.offset > member.offset:
                self._source.put_back(piece)  # the block after half of the end mark, to be judged with what follows
            return member
        except tar_blocks.TarTruncated as error:
            raise self._truncated() from error
        except tar_blocks.TarError as error:
            prefix = self._prefix
            raise Reject(
                f"{prefix}-archive", f"the archive cannot be read for certain: {error}; pack it again"
            ) from error

    def _check(self, member: TarMember) -> None:
        prefix = self._prefix
        name, quoted = member_names.normal(member.name), member_names.quoted(member.name)
        fault = member_names.why_unsafe(member.name)
        if fault:
            self._add(
                Reject(f"{prefix}-member-name", f"the member {quoted} {fault}; pack the files again, with plain names")
            )
        if member.kind not in ("file", "directory"):
            kind = member.kind or f"member of type {member.flag!r}"
            message = f"the member {quoted} is no file but a {kind}; pack plain files only"
            self._add(Reject(f"{prefix}-member-type", message))
        if max(member.size, member.stored) > MAX_MEMBER_BYTES:
            message = f"the member {quoted} claims {member.size} bytes, more than any disk has; pack the files again"
            self._add(Reject(f"{prefix}-member-size", message))
        if member.kind == "directory":
            return
        if name in self.sizes:
            self.twice.append(name)
        self.sizes[name] = member.size

    def _add(self, fault: Reject) -> None:
        self.fault = self.fault or fault
        self.raise_fault()

    def raise_fault(self) -> None:
        """Raise :attr:`fault` if there is one and the archive is an appliance."""
        if self.strict and self.fault is not None:
            raise self.fault

    def _check_end(self, end: TarEnd) -> None:
        """Judge what follows the end: zeros are normal, as tar and tapes fill up; other bytes are hidden from users."""
        prefix = self._prefix
        if not end.blocks:
            self.warn(f"{prefix}-no-end-mark", "the archive has no end mark; it may have been cut short there")
        self._go_to(end.offset)
        while piece := self._source.take(_PIECE):
            if piece != _ZEROS[: len(piece)]:
                break
        else:
            return
        if end.blocks == 1:
            # BusyBox's tar continues behind a single block of zeros, GNU's and Python's end there.
            raise Reject(
                f"{prefix}-archive",
                "bytes follow half of the archive's end mark, and only some programs read them; pack it again",
            )
        self.warn(f"{prefix}-trailing-data", "bytes follow the end of the archive; they are no part of the image")

    def _truncated(self) -> Reject:
        prefix = self._prefix
        return Reject(
            f"{prefix}-truncated", "the image is cut short: its archive ends inside a member; upload all of it"
        )
