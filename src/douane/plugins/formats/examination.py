"""Feed an image's bytes, in order, to the readers of all formats that it can be read as."""

from . import polyglot
from .base import HEAD_BYTES
from .match import Match
from .requests import TAIL_BYTES, Assembled, Bytes, Inside, Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .base import Format
    from .match import Finding
    from .requests import Reader, Request

KEPT_BYTES = 1 << 20
"""The beginning is kept: tables of one format stand before the header of another, and readers start late."""

MAX_READERS = 64
MAX_DEPTH = 2
"""An image in an archive in an image is looked into; deeper ones are found but not read."""


class _Task:
    __slots__ = ("got", "inner", "match", "reader", "request", "seen")

    def __init__(self, match: Match, reader: "Reader", seen: int) -> None:
        self.match, self.reader = match, reader
        self.seen = seen
        """How far it has read. It is shown nothing before that, though a chunk may still hold it: what is found must
        not depend on where chunks are cut."""

        self.request: Request | None = None
        self.got = bytearray()
        self.inner: Examination | None = None


class Examination:
    """Read an image as each of `formats` that its bytes fit: usually :data:`registry.FORMATS`.

    `size` is the image's length in bytes, None if unknown before the end.

    After :meth:`finish`, and as far as known before, :attr:`matches` has a :class:`Match` for each format; the first is
    the format that tools take the image for. Never raises, whatever the bytes; memory is bounded, time is linear.
    """

    def __init__(self, formats: "Iterable[Format]", size: "int | None" = None, *, depth: int = 0) -> None:
        self._formats = formats
        self.matches: list[Match] = []
        self.position = 0
        """Bytes fed so far."""
        self.recognised = False
        """True when the beginning has been compared with all formats."""
        self.ended = False
        self._size = size
        self._depth = depth
        self._kept = bytearray()
        self._tail = bytearray()
        self._chunk = memoryview(b"")
        self._chunk_at = 0
        self._tasks: list[_Task] = []
        self._count = 0
        self._next = 0
        self.joint_findings: list[Finding] = []
        """Findings about the formats together."""

    @property
    def findings(self) -> "list[Finding]":
        """All findings so far, those of what is inside included, and those about the formats together."""
        found = list(self.joint_findings)
        for match in self.matches:
            found += match.findings
            for _, inner in match.inner:
                found += inner.findings
        return found

    @property
    def count(self) -> int:
        """How many findings there are so far: when it changes, there is something to look at."""
        count = len(self.joint_findings)
        for match in self.matches:
            count += len(match.findings)
            for _, inner in match.inner:
                count += inner.count
        return count

    def feed(self, chunk: memoryview) -> None:
        """Take the next bytes."""
        length = len(chunk)
        self._keep(chunk, length)
        self._chunk, self._chunk_at = chunk, self.position
        self.position += length
        if not self.recognised:
            if self.position >= HEAD_BYTES:
                self._recognise()
        elif self.position > self._next:
            self._serve()
        self._chunk = memoryview(b"")

    def skippable(self) -> int:
        """How many of the next bytes nobody has asked for: they may be passed over with :meth:`skip`."""
        if not self.recognised or self._size is None or self.position < KEPT_BYTES:
            return 0
        return max(0, min(self._next, self._size - TAIL_BYTES) - self.position)

    def skip(self, length: int) -> None:
        """Go on as if `length` bytes, at most :meth:`skippable`, had been fed."""
        if length:
            self._tail.clear()
            self.position += length

    def finish(self) -> None:
        """The image has ended."""
        self._size = self.position
        self.ended = True
        if not self.recognised:
            self._recognise()
        tail = bytes(self._tail)
        for one in self._formats:
            if not any(match.name == one.name for match in self.matches) and _recognises(one.ends, tail, self.position):
                self._add(Match(one.name, one.disk_format, one.kind, self.position, "end"), one)
        for match in self.matches:
            match.ended(self.position)
        while self._tasks:
            for task in self._tasks:
                self._end_request(task)
            self._serve()
        self._judge()
        self._kept, self._tail = bytearray(), bytearray()  # what is inside an archive is kept to the end of that

    # the bytes at hand

    def _keep(self, chunk: memoryview, length: int) -> None:
        room = KEPT_BYTES - len(self._kept)
        if room > 0 and len(self._kept) == self.position:
            self._kept += chunk[:room]
        if length >= TAIL_BYTES:
            self._tail[:] = chunk[length - TAIL_BYTES :]
            return
        self._tail += chunk
        if len(self._tail) > 2 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]

    def _at(self, offset: int, seen: int) -> "memoryview | None":
        """What is at hand from `offset` on; empty if it has not come yet, None if it has gone by."""
        if offset >= self.position:
            return memoryview(b"")
        if offset < len(self._kept):
            return memoryview(self._kept)[offset:]
        if self.ended:
            tail = memoryview(self._tail)[-TAIL_BYTES:]
            before = self.position - offset
            return tail[len(tail) - before :] if before <= len(tail) else None
        if offset >= seen and offset >= self._chunk_at:
            return self._chunk[offset - self._chunk_at :]
        return None

    # readers

    def _recognise(self) -> None:
        self.recognised = True
        head = bytes(self._kept[:HEAD_BYTES])
        for one in self._formats:
            if _recognises(one.begins, head):
                self._add(Match(one.name, one.disk_format, one.kind, self._size, "start"), one)
        self._serve()
        self._judge()

    def _add(self, match: Match, one: "Any") -> None:
        self.matches.append(match)
        self._start(match, one.read(match), 0)

    def _start(self, match: Match, reader: "Reader", seen: int) -> None:
        self._count += 1
        if self._count > MAX_READERS:
            match.find("unchecked", f"it has more than {MAX_READERS} structures to be looked at")
            return
        task = _Task(match, reader, seen)
        if self._go_on(task, None):
            self._tasks.append(task)

    def _serve(self) -> None:
        """Give every reader what is at hand; find out where the next one wants something."""
        self._tasks = [task for task in self._tasks if self._give(task)]  # those that are started meanwhile included
        self._next = min((self._next_offset(task) for task in self._tasks), default=1 << 63)

    def _next_offset(self, task: _Task) -> int:
        request = task.request
        if isinstance(request, Tail) or request is None:
            return 1 << 63
        done = task.inner.position if isinstance(request, Inside) and task.inner else len(task.got)
        return request.offset + done

    def _give(self, task: _Task) -> bool:
        """False when the reader has ended."""
        while True:
            request = task.request
            if isinstance(request, Bytes):
                if len(task.got) < request.length:
                    there = self._at(request.offset + len(task.got), task.seen)
                    if there is None:
                        return self._missed(task, request.what, essential=request.essential)
                    task.got += there[: request.length - len(task.got)]
                    if len(there) and len(task.got) < request.length:
                        continue  # the rest may stand in the chunk, behind what is kept
                    if len(task.got) < request.length:
                        return True
                task.seen = max(task.seen, request.offset + request.length)
                answer: Any = bytes(task.got)
            elif isinstance(request, Inside):
                inner = task.inner
                assert inner is not None
                if inner.position < request.length:
                    there = self._at(request.offset + inner.position, task.seen)
                    if there is None:
                        return self._missed(task, request.name, essential=True)
                    if not len(there):
                        return True
                    inner.feed(there[: request.length - inner.position])
                    continue
                inner.finish()
                task.seen = max(task.seen, request.offset + request.length)
                task.match.inner.append((request.name, inner))
                answer = inner
            else:
                return True
            if not self._go_on(task, answer):
                return False

    def _missed(self, task: _Task, what: str, *, essential: bool) -> bool:
        task.reader.close()
        how = "stands before something that had to be read first, so that it cannot be seen in one pass"
        task.match.find("out-of-order" if essential else "unchecked", f"{what} {how}")
        return False

    def _end_request(self, task: _Task) -> None:
        """The image has ended: make of the reader's want what can be had."""
        request = task.request
        if isinstance(request, Tail):
            self._go_on_or_drop(task, bytes(self._tail[-request.length :]) if request.length else b"")
        elif (
            isinstance(request, Bytes)
            and request.offset + len(task.got) >= self.position
            and len(task.got) < request.length
        ):
            if request.short:
                self._go_on_or_drop(task, bytes(task.got))
            else:
                self._truncated(task, request.what, request.offset + request.length)
        elif isinstance(request, Inside) and request.offset + request.length > self.position:
            if task.inner is not None:
                task.inner.finish()
                task.match.inner.append((request.name, task.inner))
            self._truncated(task, request.name, request.offset + request.length)

    def _truncated(self, task: _Task, what: str, end: int) -> None:
        task.match.find("truncated", f"{what} ends at {end}, and the image at {self.position}")
        task.reader.close()
        task.request = None
        self._tasks = [one for one in self._tasks if one is not task]

    def _go_on_or_drop(self, task: _Task, answer: "Any") -> None:
        if not self._go_on(task, answer):
            self._tasks = [one for one in self._tasks if one is not task]

    def _go_on(self, task: _Task, answer: "Any") -> bool:
        """Let the reader run to its next want; False when it has ended."""
        task.got = bytearray()
        task.inner = None
        try:
            request = task.reader.send(answer)
            while isinstance(request, Assembled):
                request = task.reader.send(Examination(self._formats, request.size, depth=MAX_DEPTH))
            task.request = request
        except StopIteration:
            task.request = None
        except Exception as error:  # a reader of ours that some bytes upset: never an accept, and never a crash
            task.request = None
            task.match.find("reader-failed", f"the reader of {task.match.name} failed: {error!r}")
        if isinstance(task.request, Inside):
            if self._depth >= MAX_DEPTH:
                task.match.find("too-deep", f"{task.request.name} is an image in an image in an image")
                task.reader.close()
                task.request = None
            else:
                task.inner = Examination(self._formats, task.request.length, depth=self._depth + 1)
        for reader in task.match.take_spawned():
            self._start(task.match, reader, task.seen)
        return task.request is not None

    def _judge(self) -> None:
        self.joint_findings = polyglot.judge(self.matches, ended=self.ended)


def _recognises(ask: "Any", *bytes_of_it: "Any") -> bool:
    try:
        return bool(ask(*bytes_of_it))
    except Exception:  # bytes that upset the recognition of one format are none of that format
        return False
