"""Feed the bytes of an image, in order, to the readers of all formats that they match."""

from . import containment, polyglot
from .bytes_at_hand import BytesAtHand
from .match import Finding, Match
from .requests import HEAD_BYTES, START_BYTES, TAIL_BYTES, Assembled, Bytes, Inside, Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .base import Format
    from .requests import Reader, Request

MAX_READERS = 64
MAX_DEPTH = 2
"""An image in an archive in an image is examined; the format of a deeper image is a finding."""

NEVER = 1 << 63
"""An offset that no image reaches."""


class _Task:
    """A reader with its open request."""

    __slots__ = ("inner", "match", "read_to", "reader", "received", "request")

    def __init__(self, match: Match, reader: "Reader", read_to: int) -> None:
        self.match, self.reader = match, reader
        self.read_to = read_to
        """The end of the bytes that the reader has requested. It gets no bytes before that, though a chunk may still
        hold them: findings must not depend on where chunks are cut."""

        self.request: Request | None = None
        self.received = bytearray()
        self.inner: Examination | None = None


class Examination:
    """Read an image as each of `formats` that its bytes match: usually :data:`registry.FORMATS`.

    `size` is the image's length in bytes, None if unknown before the end.

    :attr:`matches` has a :class:`Match` for each format as far as known, complete after :meth:`finish`; the first is
    the format that tools take the image for. :attr:`contained` has those that are content of another.

    Never raises, whatever the bytes; memory is bounded, time is linear.
    """

    def __init__(self, formats: "Iterable[Format]", size: "int | None" = None, *, depth: int = 0) -> None:
        self._formats = formats
        self.matches: list[Match] = []
        self.contained: list[Match] = []
        self.recognised = False
        """True once the start of the image was compared with all formats."""
        self.ended = False
        self._size = size
        self._depth = depth
        self._at_hand = BytesAtHand()
        self._tasks: list[_Task] = []
        self._reader_count = 0
        self._next = 0
        """The lowest offset that a reader has requested and not received."""
        self.joint_findings: list[Finding] = []
        """Findings about the formats together."""

    @property
    def position(self) -> int:
        """Bytes fed so far."""
        return self._at_hand.position

    @property
    def findings(self) -> "list[Finding]":
        """All findings so far: about the formats together, of each format, and of the images inside."""
        findings = list(self.joint_findings)
        for match in self.matches:
            findings += match.findings
            for _, inner in match.inner:
                findings += inner.findings
        return findings

    @property
    def virtual_size(self) -> "int | None":
        """Bytes of the disk that a guest sees; None while unknown. The size of a raw disk is known at its end."""
        match = self.matches[0] if self.matches else None
        if match is None or match.kind in ("content", "other"):
            return self.position if self.ended else None
        return match.virtual_size

    @property
    def count(self) -> int:
        """The number of :attr:`findings`, without collecting them."""
        count = len(self.joint_findings)
        for match in self.matches:
            count += len(match.findings)
            for _, inner in match.inner:
                count += inner.count
        return count

    def feed(self, chunk: memoryview) -> None:
        """Take the next bytes."""
        at_hand = self._at_hand
        at_hand.feed(chunk)
        if not self.recognised:
            if at_hand.position >= HEAD_BYTES:
                self._recognise()
        elif at_hand.position > self._next:
            self._serve()
        at_hand.release()

    def skippable(self) -> int:
        """The number of next bytes that no reader has requested: :meth:`skip` may pass over them."""
        if not self.recognised or self._size is None or self.position < START_BYTES:
            return 0
        return max(0, min(self._next, self._size - TAIL_BYTES) - self.position)

    def skip(self, length: int) -> None:
        """Pass over `length` bytes, at most :meth:`skippable`, as if they had been fed."""
        if length:
            self._at_hand.skip(length)

    def finish(self) -> None:
        """End the image."""
        self._size = self.position
        self.ended = True
        self._at_hand.end()
        if not self.recognised:
            self._recognise()
        tail = self._at_hand.last(TAIL_BYTES)
        for form in self._formats:
            matched = any(match.name == form.name for match in (*self.matches, *self.contained))
            if not matched and _is_recognised(form.ends, tail, self.position):
                self._add(form, "end")
        for match in (*self.matches, *self.contained):
            match.end(self.position)
        while self._tasks:
            for task in list(self._tasks):  # not those that are launched meanwhile: findings follow no order of formats
                self._end_request(task)
            self._serve()
        self._judge()
        self._at_hand.clear()  # an archive holds this examination to its own end

    # readers

    def _recognise(self) -> None:
        self.recognised = True
        head = self._at_hand.first(HEAD_BYTES)
        for form in self._formats:
            if _is_recognised(form.begins, head):
                self._add(form, "start")
        self._serve()
        self._judge()

    def _add(self, form: "Format", at: str) -> None:
        match = Match(form.name, form.disk_format, form.kind, self._size, at)
        self.matches.append(match)
        self._launch(match, form.read(match), 0)

    def _launch(self, match: Match, reader: "Reader", read_to: int) -> None:
        self._reader_count += 1
        if self._reader_count > MAX_READERS:
            match.find("unchecked", f"it has more than {MAX_READERS} structures to read")
            return
        task = _Task(match, reader, read_to)
        if self._resume(task, None):
            self._tasks.append(task)

    def _serve(self) -> None:
        """Answer every reader as far as the bytes at hand allow, and note the next offset that one needs."""
        self._tasks = [task for task in self._tasks if self._answer(task)]  # tasks launched meanwhile included
        self._next = min((self._next_offset(task) for task in self._tasks), default=NEVER)

    def _next_offset(self, task: _Task) -> int:
        request = task.request
        if isinstance(request, Tail) or request is None:
            return NEVER
        received = task.inner.position if isinstance(request, Inside) and task.inner else len(task.received)
        return request.offset + received

    def _answer(self, task: _Task) -> bool:
        """Answer the requests of a reader until the bytes at hand end; False if the reader has ended."""
        while True:
            request = task.request
            if isinstance(request, Bytes):
                if len(task.received) < request.length:
                    piece = self._at_hand.at(request.offset + len(task.received), task.read_to)
                    if piece is None:
                        return self._miss(task, request.what, essential=request.essential)
                    task.received += piece[: request.length - len(task.received)]
                    if len(piece) and len(task.received) < request.length:
                        continue  # the rest may be in the chunk, after the bytes that are kept
                    if len(task.received) < request.length:
                        return True
                task.read_to = max(task.read_to, request.offset + request.length)
                answer: Any = bytes(task.received)
            elif isinstance(request, Inside):
                inner = task.inner
                assert inner is not None
                if inner.position < request.length:
                    piece = self._at_hand.at(request.offset + inner.position, task.read_to)
                    if piece is None:
                        return self._miss(task, request.name, essential=True)
                    if not len(piece):
                        return True
                    inner.feed(piece[: request.length - inner.position])
                    continue
                inner.finish()
                task.read_to = max(task.read_to, request.offset + request.length)
                task.match.inner.append((request.name, inner))
                answer = inner
            else:
                return True
            if not self._resume(task, answer):
                return False

    def _miss(self, task: _Task, what: str, *, essential: bool) -> bool:
        task.reader.close()
        text = f"{what} precedes a structure that had to be read first: one pass cannot see it"
        task.match.find("out-of-order" if essential else "unchecked", text)
        return False

    def _end_request(self, task: _Task) -> None:
        """Answer the open request at the end of the image, or close its reader as truncated."""
        request = task.request
        if isinstance(request, Tail):
            self._resume_or_drop(task, self._at_hand.last(request.length))
        elif isinstance(request, Bytes):
            if len(task.received) < request.length and request.offset + len(task.received) >= self.position:
                if request.short:
                    self._resume_or_drop(task, bytes(task.received))
                else:
                    self._truncate(task, request.what, request.offset + request.length)
        elif isinstance(request, Inside) and request.offset + request.length > self.position:
            if task.inner is not None:
                task.inner.finish()
                task.match.inner.append((request.name, task.inner))
            self._truncate(task, request.name, request.offset + request.length)

    def _truncate(self, task: _Task, what: str, end: int) -> None:
        task.match.find("truncated", f"{what} ends at {end}, but the image at {self.position}")
        task.reader.close()
        task.request = None
        self._drop(task)

    def _resume_or_drop(self, task: _Task, answer: "Any") -> None:
        if not self._resume(task, answer):
            self._drop(task)

    def _drop(self, task: _Task) -> None:
        self._tasks = [kept for kept in self._tasks if kept is not task]

    def _resume(self, task: _Task, answer: "Any") -> bool:
        """Send `answer` to the reader and take its next request; False if the reader has ended."""
        task.received = bytearray()
        task.inner = None
        try:
            request = task.reader.send(answer)
            while isinstance(request, Assembled):
                request = task.reader.send(Examination(self._formats, request.size, depth=MAX_DEPTH))
            task.request = request
        except StopIteration:
            task.request = None
        except Exception as error:  # a fault of the reader refuses the image and does not stop the plugin
            task.request = None
            task.match.find("reader-failed", f"the reader of {task.match.name} failed: {error!r}")
        if isinstance(task.request, Inside):
            if self._depth >= MAX_DEPTH:
                task.match.find("too-deep", f"{task.request.name} is an image in an image in an image")
                task.reader.close()
                task.request = None
            else:
                task.inner = Examination(self._formats, task.request.length, depth=self._depth + 1)
                task.match.data.add(task.request.offset, task.request.length, task.inner)
        for reader in task.match.take_spawned():
            self._launch(task.match, reader, task.read_to)
        return task.request is not None

    def _judge(self) -> None:
        matches, contents = containment.divide([*self.matches, *self.contained], ended=self.ended)
        self.matches, self.contained = matches, [match for match, _ in contents]
        self.joint_findings = polyglot.judge(matches)
        if self.ended:
            self.joint_findings += [containment.finding(*pair) for pair in contents]


def _is_recognised(recognise: "Callable[..., bool]", *arguments: "Any") -> bool:
    try:
        return bool(recognise(*arguments))
    except Exception:  # bytes on which the recognition of a format fails are not of that format
        return False
