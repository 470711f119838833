"""Feed an image's bytes, in order, to the readers of all formats that it can be read as."""

from . import polyglot
from .base import HEAD_BYTES
from .match import Look
from .registry import FORMATS
from .requests import TAIL_BYTES, Bytes, Inside, Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .match import Finding
    from .requests import Reader, Want

KEPT_BYTES = 1 << 20
"""The beginning is kept: tables of one format stand before the header of another, and readers start late."""

MAX_READERS = 64
MAX_DEPTH = 2
"""An image in an archive in an image is looked into; deeper ones are found but not read."""


class _Task:
    __slots__ = ("got", "inner", "look", "reader", "seen", "want")

    def __init__(self, look: Look, reader: "Reader", seen: int) -> None:
        self.look, self.reader = look, reader
        self.seen = seen
        """How far it has read. It is shown nothing before that, though a chunk may still hold it: what is found must
        not depend on where chunks are cut."""

        self.want: Want | None = None
        self.got = bytearray()
        self.inner: Examination | None = None


class Examination:
    """See the module. `size` is the image's length in bytes, None where that is not known before the end.

    After :meth:`finish`, and as far as it is known before, :attr:`looks` has a :class:`Look` for each format, the one
    that tools take it for first. It never raises, whatever the bytes; memory is bounded, and time linear.
    """

    def __init__(self, size: "int | None" = None, *, depth: int = 0) -> None:
        self.looks: list[Look] = []
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
        self.together: list[Finding] = []
        """Findings about the formats together."""

    @property
    def findings(self) -> "list[Finding]":
        """All findings so far, those of what is inside included, and those about the formats together."""
        found = list(self.together)
        for look in self.looks:
            found += look.findings
            for _, inner in look.inner:
                found += inner.findings
        return found

    @property
    def count(self) -> int:
        """How many findings there are so far: when it changes, there is something to look at."""
        count = len(self.together)
        for look in self.looks:
            count += len(look.findings)
            for _, inner in look.inner:
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
        for one in FORMATS:
            if not any(look.name == one.name for look in self.looks) and _recognises(one.ends, tail, self.position):
                self._add(Look(one.name, one.disk_format, one.kind, self.position, "end"), one)
        for look in self.looks:
            look.ended(self.position)
        while self._tasks:
            for task in self._tasks:
                self._end_want(task)
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
        for one in FORMATS:
            if _recognises(one.begins, head):
                self._add(Look(one.name, one.disk_format, one.kind, self._size, "start"), one)
        self._serve()
        self._judge()

    def _add(self, look: Look, one: "Any") -> None:
        self.looks.append(look)
        self._start(look, one.read(look), 0)

    def _start(self, look: Look, reader: "Reader", seen: int) -> None:
        self._count += 1
        if self._count > MAX_READERS:
            look.find("unchecked", f"it has more than {MAX_READERS} structures to be looked at")
            return
        task = _Task(look, reader, seen)
        if self._go_on(task, None):
            self._tasks.append(task)

    def _serve(self) -> None:
        """Give every reader what is at hand; find out where the next one wants something."""
        self._tasks = [task for task in self._tasks if self._give(task)]  # those that are started meanwhile included
        self._next = min((self._wanted(task) for task in self._tasks), default=1 << 63)

    def _wanted(self, task: _Task) -> int:
        want = task.want
        if isinstance(want, Tail) or want is None:
            return 1 << 63
        done = task.inner.position if isinstance(want, Inside) and task.inner else len(task.got)
        return want.offset + done

    def _give(self, task: _Task) -> bool:
        """False when the reader has ended."""
        while True:
            want = task.want
            if isinstance(want, Bytes):
                if len(task.got) < want.length:
                    there = self._at(want.offset + len(task.got), task.seen)
                    if there is None:
                        return self._missed(task, want.what, essential=want.essential)
                    task.got += there[: want.length - len(task.got)]
                    if len(there) and len(task.got) < want.length:
                        continue  # the rest may stand in the chunk, behind what is kept
                    if len(task.got) < want.length:
                        return True
                task.seen = max(task.seen, want.offset + want.length)
                answer: Any = bytes(task.got)
            elif isinstance(want, Inside):
                inner = task.inner
                assert inner is not None
                if inner.position < want.length:
                    there = self._at(want.offset + inner.position, task.seen)
                    if there is None:
                        return self._missed(task, want.name, essential=True)
                    if not len(there):
                        return True
                    inner.feed(there[: want.length - inner.position])
                    continue
                inner.finish()
                task.seen = max(task.seen, want.offset + want.length)
                task.look.inner.append((want.name, inner))
                answer = inner
            else:
                return True
            if not self._go_on(task, answer):
                return False

    def _missed(self, task: _Task, what: str, *, essential: bool) -> bool:
        task.reader.close()
        how = "stands before something that had to be read first, so that it cannot be seen in one pass"
        task.look.find("out-of-order" if essential else "unchecked", f"{what} {how}")
        return False

    def _end_want(self, task: _Task) -> None:
        """The image has ended: make of the reader's want what can be had."""
        want = task.want
        if isinstance(want, Tail):
            self._go_on_or_drop(task, bytes(self._tail[-want.length :]) if want.length else b"")
        elif isinstance(want, Bytes) and want.offset + len(task.got) >= self.position and len(task.got) < want.length:
            if want.short:
                self._go_on_or_drop(task, bytes(task.got))
            else:
                self._truncated(task, want.what, want.offset + want.length)
        elif isinstance(want, Inside) and want.offset + want.length > self.position:
            if task.inner is not None:
                task.inner.finish()
                task.look.inner.append((want.name, task.inner))
            self._truncated(task, want.name, want.offset + want.length)

    def _truncated(self, task: _Task, what: str, end: int) -> None:
        task.look.find("truncated", f"{what} ends at {end}, and the image at {self.position}")
        task.reader.close()
        task.want = None
        self._tasks = [one for one in self._tasks if one is not task]

    def _go_on_or_drop(self, task: _Task, answer: "Any") -> None:
        if not self._go_on(task, answer):
            self._tasks = [one for one in self._tasks if one is not task]

    def _go_on(self, task: _Task, answer: "Any") -> bool:
        """Let the reader run to its next want; False when it has ended."""
        task.got = bytearray()
        task.inner = None
        try:
            task.want = task.reader.send(answer)
        except StopIteration:
            task.want = None
        except Exception as error:  # a reader of ours that some bytes upset: never an accept, and never a crash
            task.want = None
            task.look.find("reader-failed", f"the reader of {task.look.name} failed: {error!r}")
        if isinstance(task.want, Inside):
            if self._depth >= MAX_DEPTH:
                task.look.find("too-deep", f"{task.want.name} is an image in an image in an image")
                task.reader.close()
                task.want = None
            else:
                task.inner = Examination(task.want.length, depth=self._depth + 1)
        for reader in task.look.take_spawned():
            self._start(task.look, reader, task.seen)
        return task.want is not None

    def _judge(self) -> None:
        self.together = polyglot.judge(self.looks, ended=self.ended)


def _recognises(ask: "Any", *bytes_of_it: "Any") -> bool:
    try:
        return bool(ask(*bytes_of_it))
    except Exception:  # bytes that upset the recognition of one format are none of that format
        return False
