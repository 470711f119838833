"""The runtime of one case: the runtime of the contract, with notes on what the answer does not show."""

from __future__ import annotations

import bisect
import hashlib

from douane_plugin import Incomplete, wire
from douane_plugin._chunks import Chunks, NoChunks
from douane_plugin._local import SLOT_BYTES, LocalRuntime
from douane_plugin._runtime import READS_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from douane_plugin._local import Slots

MAX_EVENTS = 50
CHUNKS_A_MEASUREMENT = 64
OUTCOMES = {wire.ACCEPT: "accepted", wire.REFUSE: "refused", wire.INCOMPLETE: "incomplete", wire.DEFER: "deferred"}


class TooMuchOutput(BaseException):
    """A transform yields more than any image becomes. Not an Exception, so that the plugin does not catch it."""


class CaseRuntime(LocalRuntime):
    """The runtime for the case `case`, a JSON object of `driver_process.py`, with the image `view`.

    `events` are breaches of the contract by name, some with a detail after a colon. `meter` is called now and then
    while the plugin reads a stream, and at its end.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        case: dict[str, Any],
        view: memoryview,
        reads: str,
        slots: Slots,
        meter: Optional[Callable[[], None]] = None,
    ) -> None:
        choose = _choose(case["cuts"])
        pieces = _record_pieces if reads == "files" else _pieces
        super().__init__(slots, pieces(view, choose), reads, choose)
        self.spec = spec
        self._meter = meter
        self.events: list[str] = []
        self.cause: Optional[list[str]] = None
        self.source: Any = None
        self._max_output = case["max_output"]
        self._output_bytes = case["output"]
        self._digest = hashlib.sha256()
        self._output_size = 0
        self._output = b""

    def note(self, event: str) -> None:
        """Add an event, unless it is known already or there are too many."""
        if len(self.events) < MAX_EVENTS and event not in self.events:
            self.events.append(event)

    def grant(self, name: str) -> Any:
        """Return a grant, or note that it is missing."""
        try:
            return super().grant(name)
        except LookupError:
            self.note(f"no-grant:{name}")
            raise

    @property
    def scratch(self) -> Any:
        """The scratch files; note that there are none."""
        try:
            return super().scratch
        except LookupError:
            self.note("no-scratch")
            raise

    def unchanged(self, offset: int) -> None:
        """Note a call that comes too late."""
        try:
            super().unchanged(offset)
        except ValueError:
            self.note("unchanged-late")
            raise

    def _source(self, facts: dict[str, Any], reads: str) -> Any:
        if reads in ("nothing", "findings"):
            self.source = _NotedNoChunks(self.note)
        elif reads in READS_FILE:
            self.source = super()._source(facts, reads)
        else:
            self.source = _NotedChunks(self.channel, self.spec["rings"][0], self.note, self._meter)
        return self.source

    def check_unread(self, image: Any) -> None:
        """Note that the plugin has not asked for the unread parts."""
        try:
            super().check_unread(image)
        except Incomplete as answer:
            if answer.code != "guest-reader-failed":
                self.note("unread-unasked")
            raise

    def _refuse(self, kind: int, answer: Any) -> None:
        self.cause = _cause(answer)
        super()._refuse(kind, answer)

    def _write(self, view: memoryview) -> None:
        self._output_size += len(view)
        self._digest.update(view)
        if self._output_bytes > len(self._output):
            self._output += bytes(view[: self._output_bytes - len(self._output)])
        if self._output_size > self._max_output:
            self.note("too-much-output")
            raise TooMuchOutput

    def _end_output(self) -> None:
        pass

    def report(self) -> dict[str, Any]:
        """Return the fields of the outcome that the answer and the frames before it give."""
        report: dict[str, Any] = {"warnings": [], "becomes": {}, "logged": 0}
        for kind, value in self.channel.frames:
            if kind == wire.WARN:
                report["warnings"].append([value["code"], value["message"]])
            elif kind == wire.BECOMES:
                report["becomes"].update(value)
            elif kind == wire.LOG:
                report["logged"] += len(value["message"])
        if self.channel.answer is not None:
            kind, answer = self.channel.answer
            report["kind"] = OUTCOMES[kind]
            report["code"] = answer.get("code", "deferred" if kind == wire.DEFER else "")
            report["message"] = answer.get("message", "")
            report["properties"] = answer.get("properties", {})
            report["proposed"] = answer.get("proposed", {})
        report["is_unchanged"] = self.channel.unchanged
        report["output_size"] = self._output_size
        report["output_sha256"] = self._digest.hexdigest()
        report["output"] = self._output.hex()
        report["cause"] = self.cause
        report["events"] = self.events
        report["bytes_seen"] = self.bytes_seen()
        report["chunks"] = getattr(self.source, "count", 0)
        return report


class _NotedChunks(Chunks):
    """Chunks that count themselves, and note a kept view even if the plugin hides the exception."""

    def __init__(
        self, channel: Any, ring: dict[str, int], note: Callable[[str], None], meter: Optional[Callable[[], None]]
    ) -> None:
        super().__init__(channel, ring["fd"], ring["slot_bytes"])
        self._note = note
        self._meter = meter
        self.count = 0

    def take(self) -> Optional[memoryview]:
        viewed = self._viewed
        try:
            chunk = super().take()
        except BufferError:
            self._note(f"kept:{viewed[1] if viewed is not None else 0}")
            raise
        self.count += chunk is not None
        if self._meter is not None and (chunk is None or self.count % CHUNKS_A_MEASUREMENT == 0):
            self._meter()
        return chunk


class _NotedNoChunks(NoChunks):
    """No chunks; note that the plugin asks for one all the same."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note

    def take(self) -> Optional[memoryview]:
        self._note("asked")
        return super().take()


def _choose(cuts: Any) -> Callable[[int, Optional[int]], int]:
    """Return the function that chooses the length of a chunk; `cuts` is a length or a list of offsets."""
    if isinstance(cuts, int):
        return lambda offset, rest: min(cuts or SLOT_BYTES, SLOT_BYTES)

    def choose(offset: int, _: Optional[int]) -> int:
        index = bisect.bisect_right(cuts, offset)
        return min(cuts[index] - offset, SLOT_BYTES) if index < len(cuts) else SLOT_BYTES

    return choose


def _pieces(view: memoryview, choose: Callable[[int, Optional[int]], int]) -> Any:
    start = 0
    while start < len(view):
        end = start + choose(start, None)
        yield view[start:end]
        start = end


def _record_pieces(view: memoryview, choose: Callable[[int, Optional[int]], int]) -> Any:
    """Yield the records of the files in an image, cut as `choose` says."""
    from douane_guest.delivery import deliver
    from douane_guest.guest import open_guest
    from douane_plugin._delivery import record_of

    buffer = bytearray()
    start = 0
    length = choose(start, None)
    for event in deliver(open_guest(_ViewSource(view))):
        buffer += record_of(event)
        while len(buffer) >= length:
            yield bytes(buffer[:length])
            del buffer[:length]
            start += length
            length = choose(start, None)
    if buffer:
        yield bytes(buffer)


class _ViewSource:
    """An image in memory, of which only what is read is copied."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self.size = len(view)

    def pread(self, offset: int, count: int) -> bytes:
        """See `douane_guest.source.Source`."""
        from douane_guest.source import check_range

        check_range(self, offset, count)
        return bytes(self._view[offset : offset + count])


def _cause(answer: BaseException) -> Optional[list[str]]:
    """Return kind, text and repr of the exception that led to an answer, or None."""
    cause = answer.__cause__ or answer.__context__
    if cause is None or type(cause).__module__.startswith(("douane_plugin", "douane_guest")):
        return None
    try:
        return [type(cause).__name__, str(cause)[:1000], repr(cause)[:1000]]
    except Exception:  # __str__ and __repr__ are the plugin's own code
        return None
