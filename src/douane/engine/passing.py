"""One pass of one image: bytes through rings, past plugins, to the store; and one outcome.

The plan falls into segments: inspectors that stand together, and the transform, if any, that ends them.
Each segment reads one ring; a transform fills the ring of the next. Until a transform has said whether
there is anything to do, the beginning of its ring is held, so that those after it can read that ring itself.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from typing import Any

from .errors import DouaneError
from .feeds import Feed, LimitExceeded, OutputFeed, SourceFeed
from .grants import GrantUnavailable, open_grant
from .logs import LogLine
from .loop import Loop
from .member import Hold, Member
from .plan import Plan
from .program_member import ProgramMember
from .python_member import PythonMember
from .readers import Digest, Sink, Spool, ThreadReader, Writer
from .report import Bytes, Verdict
from .ring import AUDIT_SLOTS, SLOTS, Ring
from .source import FileSource, Source
from .units import show_duration
from .verdicts import weigh

AUDIT_SECONDS = 1.0
"""What auditors get after everything else is done, before they count as too slow."""

Declared = dict[str, Any]
"""name, disk_format, container_format, properties: what the image's sender says of it."""

Progress = Callable[[int, int | None], None]


class Pass:
    """See the module. Made, run once, closed; everything but the threads of rings lives in `run`'s thread."""

    def __init__(
        self,
        plan: Plan,
        members: list[Member],
        source: Source,
        declared: Declared,
        sink: Sink | None,
        emit: LogLine,
        progress: Progress | None,
    ) -> None:
        self.loop = Loop()
        self.emit = emit
        self.plan = plan
        self.members = members
        self.source = source
        self.declared = dict(declared)
        self.error: DouaneError | None = None
        self.decisive: Member | None = None
        self.received = Bytes(size=0, complete=False)
        self.stored = Bytes(size=0, complete=False)
        self._sink = sink
        self._progress = progress
        self._segments: list[list[Member]] = []
        self._rings: list[Ring] = []
        self._feeds: list[Feed] = []
        self._outputs: dict[int, OutputFeed] = {}
        self._readers: list[ThreadReader] = []
        self._received_by: list[Digest] = []
        self._stored_by: list[Digest] = []
        self._stored_ring: Ring | None = None
        self._holds: dict[int, Hold] = {}
        self._spools: dict[int, Spool] = {}
        self._waiting: dict[int, list[PythonMember]] = {}
        self._whole: set[int] = set()
        self._place: dict[int, int] = {}  # segment -> the ring that it reads
        self._output_whole: set[int] = set()
        self._over = False
        self._began: float | None = None
        self._elapsed = 0.0
        self._audit_left = AUDIT_SECONDS

    # the whole

    def prepare(self) -> None:
        """Start every plugin and wait until all are ready. Raises PlanError; nothing has been read."""
        self._segments = split(self.members)
        slots = AUDIT_SLOTS if any(member.spec.mode == "audit" for member in self.members) else SLOTS
        self._rings = [Ring(slots) for _ in self._segments]
        for member in self.members:
            self._start(member)
        self.loop.run(lambda: self._over or all(m.ready or m.verdict for m in self.members), self._tick)
        for member in self.members:
            if isinstance(member, PythonMember) and member.error is not None:
                raise member.error

    def misjudged(self) -> bool:
        """True if a plugin turned out to be of another kind than it was taken for, so that it lacks descriptors."""
        return any(isinstance(member, PythonMember) and member.misjudged for member in self.members)

    def run(self) -> None:
        """Let the image through. Returns when there is an outcome, or raises DouaneError."""
        self._began = time.monotonic()
        if not self._over:
            ring = self._rings[0]
            self._received_by = [self._digest(ring, name) for name in self.plan.digests]
            feed = SourceFeed(ring, self.source, lambda e: self.loop.call(lambda: self._on_source(e)))
            self._feeds.append(feed)
            self._begin(0, 0)
            for digest in self._received_by:
                digest.start()
            feed.start()
            self.loop.run(self._finished, self._tick)
        self._conclude()

    def close(self) -> None:
        """End all that still runs, give everything back. Safe at any moment, idempotent."""
        for ring in self._rings:
            ring.stop()
        for member in self.members:
            if member.verdict is None:
                member.verdict = Verdict(plugin=member.spec.name, outcome="stopped", mode=member.spec.mode)
            member.end_process()
        for reader in self._readers:
            reader.cancel()
        for feed in self._feeds:
            feed.join()
        for reader in self._readers:
            reader.join()
        for member in self.members:
            if member.output is not None:
                os.close(member.output)
                member.output = None
        for ring in self._rings:
            ring.close()
        for spool in self._spools.values():
            spool.close()
        self._rings, self._readers, self._feeds, self._spools = [], [], [], {}
        self.loop.close()

    # starting

    def _start(self, member: Member) -> None:
        if isinstance(member, ProgramMember):
            member.start()
            return
        assert isinstance(member, PythonMember)
        grants: dict[str, tuple[int, str]] = {}
        try:
            for name, target in member.spec.grants.items():
                grants[name] = open_grant(member.spec.name, name, target, member.spec.base)
        except BaseException as error:
            for fd, _ in grants.values():
                os.close(fd)
            if isinstance(error, GrantUnavailable):
                member.fail("failed", error.code, "could not reach a service that it needs", str(error))
                return
            raise
        member.start(self._rings[: member.segment + 1], grants, self._image_fd(member))

    def _image_fd(self, member: Member) -> int | None:
        """A descriptor of its own on the file that a plugin which reads at random gets."""
        return self._open_file(member.segment) if member.reads == "random" else None

    def _open_file(self, segment: int) -> int:
        if segment == len(self._segments) - 1 and self._sink is not None:
            return self._sink.open_read()
        source = self.source.file()
        if segment == 0 and source is not None and _all_may_read(source):
            return os.open(f"/proc/self/fd/{source}", os.O_RDONLY | os.O_CLOEXEC)
        if segment not in self._spools:
            self._spools[segment] = Spool()
        return self._spools[segment].open_read()

    # members

    def on_ready(self, member: Member) -> None:
        """A plugin is ready for its image."""

    def on_decided(self, member: Member, *, unchanged: bool) -> None:
        """A transform has said whether there is anything to do."""
        segment = member.segment
        if unchanged and member.reads == "random":
            self._pass_on_file(segment)
        elif unchanged:
            self._begin(segment + 1, self._place[segment])
        else:
            ring = self._rings[segment + 1]
            assert member.output is not None
            feed = OutputFeed(
                ring,
                member.output,
                member.spec.name,
                member.progress,
                max_output=member.spec.max_output,
                max_ratio=member.spec.max_ratio,
                ended=lambda e: self.loop.call(lambda: self._on_output(member, e)),
            )
            assert isinstance(member, PythonMember)
            self.declared.update(member.becomes)
            self._outputs[segment] = feed
            self._feeds.append(feed)
            self._begin(segment + 1, segment + 1)
            feed.start()
        if segment in self._holds:
            self._holds.pop(segment).drop()

    def _pass_on_file(self, segment: int) -> None:
        """A transform that had to see all of the image leaves it as it is: those after it get it from the file."""
        ring = self._rings[segment + 1]
        source = FileSource(self._open_file(segment), self.source.name)

        def ended(error: DouaneError | None) -> None:
            self.loop.call(lambda: self._fail(error) if error is not None else ring.finish())
            self.loop.call(source.close)

        feed = SourceFeed(ring, source, ended)
        self._feeds.append(feed)
        self._begin(segment + 1, segment + 1)
        feed.start()

    def on_verdict(self, member: Member) -> None:
        """A plugin has answered, or failed to."""
        verdict = member.verdict
        assert verdict is not None
        if self._over:
            return
        weight = weigh(member.spec, verdict)
        if member.is_transform and verdict.outcome not in ("accepted", "stopped"):
            weight = "refused" if verdict.outcome == "refused" else "undecided"
        if weight != "accepted":
            verdict.decisive = True
            self.decisive = member
            self._end()
        elif member.is_transform and verdict.outcome == "accepted":
            self._finish_output(member)

    def _force_decisions(self) -> None:
        """A transform that wants more than is held for those after it has decided: it makes a new image."""
        for segment in list(self._holds):
            transform = self._segments[segment][-1]
            reader = transform.reader
            if self._rings[self._place[segment]].is_full and reader is not None and reader.consumed >= reader.sent:
                assert isinstance(transform, PythonMember)
                transform.decided = transform.forced = True
                self.on_decided(transform, unchanged=False)

    def _end(self) -> None:
        """The outcome stands: nothing that is still under way can change it."""
        self._over = True
        for ring in self._rings:
            ring.stop()
        for member in self.members:
            if member.verdict is None:
                member.stop()

    def _fail(self, error: DouaneError) -> None:
        if not self._over:
            self.error = error
            self._end()

    # segments

    def _begin(self, segment: int, place: int) -> None:
        """Let the plugins of `segment`, and the transform that ends it, read the ring number `place`."""
        self._place[segment] = place
        ring = self._rings[place]
        members = self._segments[segment]
        last = segment == len(self._segments) - 1
        facts = self._facts(place)
        if last:
            self._open_sinks(ring)
        elif segment in self._spools:
            self._reader(Writer(ring, self._spools[segment], self._ended(segment)))
        if not last and members[-1].reads != "random":  # one that reads at random has its own way to pass on
            hold = self._holds[segment] = Hold(ring)
            ring.attach(hold)
        for member in members:
            if member.verdict is not None:
                continue
            if isinstance(member, ProgramMember):
                member.show_image(ring)
            elif isinstance(member, PythonMember):
                if member.reads == "random":
                    self._waiting.setdefault(segment, []).append(member)
                else:
                    member.show_image(facts, place, ring)
        self._show_files(segment)

    def _facts(self, place: int) -> dict[str, Any]:
        return {
            "name": self.declared.get("name"),
            "size": self.source.size if place == 0 else None,
            "disk_format": self.declared.get("disk_format"),
            "container_format": self.declared.get("container_format"),
            "properties": self.declared.get("properties") or {},
        }

    def _open_sinks(self, ring: Ring) -> None:
        self._stored_ring = ring
        segment = len(self._segments) - 1
        if ring is self._rings[0]:
            self._stored_by = self._received_by
        else:
            self._stored_by = [self._digest(ring, name) for name in self.plan.digests]
            for digest in self._stored_by:
                digest.start()
        if self._sink is not None:
            self._reader(Writer(ring, self._sink, self._ended(segment)))
        elif segment in self._spools:
            self._reader(Writer(ring, self._spools[segment], self._ended(segment)))

    def _digest(self, ring: Ring, algorithm: str) -> Digest:
        digest = Digest(ring, algorithm, self._ended(None))
        self._readers.append(digest)
        return digest

    def _reader(self, reader: ThreadReader) -> None:
        self._readers.append(reader)
        reader.start()

    def _ended(self, segment: int | None) -> Callable[[ThreadReader], None]:
        return lambda reader: self.loop.call(lambda: self._on_reader(reader, segment))

    def _on_reader(self, reader: ThreadReader, segment: int | None) -> None:
        if reader.error is not None:
            self._fail(reader.error)
        elif segment is not None and isinstance(reader, Writer) and reader.size is not None:
            self._whole.add(segment)
            self._show_files(segment)

    def _show_files(self, segment: int) -> None:
        """Plugins that read at random get the image when all of it is there."""
        if segment not in self._place:
            return
        ring = self._rings[self._place[segment]]
        written = segment in self._whole
        from_source = (
            segment == 0
            and segment not in self._spools
            and self.source.file() is not None
            and not (self._sink is not None and len(self._segments) == 1)
        )
        if not (written or (from_source and ring.ended)):
            return
        for member in self._waiting.pop(segment, []):
            if member.verdict is None:
                member.show_image({**self._facts(self._place[segment]), "size": ring.size}, 0, None)

    # ends of streams

    def _on_source(self, error: DouaneError | None) -> None:
        if error is not None:
            self._fail(error)
            return
        ring = self._rings[0]
        ring.finish()
        self.received.complete = True
        for segment in list(self._place):
            self._show_files(segment)

    def _on_output(self, member: Member, error: DouaneError | None) -> None:
        if isinstance(error, LimitExceeded):
            member.finish("refused", error.code, str(error))
        elif error is not None:
            self._fail(error)
        else:
            self._output_whole.add(member.segment)
            self._finish_output(member)

    def _finish_output(self, member: Member) -> None:
        """The new image is whole when the pipe is at its end *and* the transform has said so."""
        verdict = member.verdict
        if member.segment in self._output_whole and verdict is not None and verdict.outcome == "accepted":
            ring = self._rings[member.segment + 1]
            ring.finish()
            for segment in list(self._place):
                self._show_files(segment)

    # the loop

    def _tick(self, seconds: float) -> None:
        for member in self.members:
            feed = self._outputs.get(member.segment) if member.is_transform else None
            if feed is not None:
                member.produced = feed.total
            blocked = feed is not None and self._rings[member.segment + 1].is_full
            member.tick(seconds, blocked=blocked)
        if self._began is None or self._over:
            return
        self._force_decisions()
        self._elapsed += seconds
        if self._progress is not None:
            self._progress(self._rings[0].size, self.source.size)
        if self._elapsed > self.plan.deadline:
            error = DouaneError(
                f"the import was not done within its deadline of {show_duration(self.plan.deadline)}; "
                "raise [import] deadline, or find out what held it up in the report"
            )
            error.code = "deadline"
            self._fail(error)
        if self._done_but_auditors():
            self._audit_left -= seconds
            if self._audit_left < 0:
                for member in self.members:
                    if member.verdict is None:
                        member.fail(
                            "incomplete",
                            "auditor-too-slow",
                            "was not done when all else was, and an auditor never holds up an import",
                        )

    def _done_but_auditors(self) -> bool:
        if not all(member.verdict is not None for member in self.members if member.spec.mode != "audit"):
            return False
        ring = self._stored_ring
        return ring is not None and ring.ended and all(reader.done for reader in self._readers)

    def _finished(self) -> bool:
        if self._over:
            return True
        return all(member.verdict is not None for member in self.members) and self._done_but_auditors()

    def _conclude(self) -> None:
        self._over = True
        for ring in self._rings:
            ring.stop()
        for reader in self._readers:
            reader.cancel()
        for reader in self._readers:
            reader.join()
            if reader.error is not None and self.error is None and self.decisive is None:
                self.error = reader.error
        self.received.size = self._rings[0].size
        for digest in self._received_by:
            setattr(self.received, digest.algorithm, digest.hexdigest)
        if self._stored_ring is not None and self.decisive is None and self.error is None:
            self.stored = Bytes(size=self._stored_ring.size, complete=True)
            for digest in self._stored_by:
                setattr(self.stored, digest.algorithm, digest.hexdigest)
        for member in self.members:
            verdict = member.verdict
            if verdict is not None and verdict.bytes_total is None:
                place = self._place.get(member.segment)
                known = self.source.size if place == 0 else None
                read = self._rings[place] if place is not None else None
                verdict.bytes_total = read.size if read is not None and read.ended else known
                if member.reads == "random" and verdict.outcome == "accepted":
                    verdict.bytes_seen = verdict.bytes_total or 0  # it could see all; what it did see is its affair


def _all_may_read(fd: int) -> bool:
    """True if a caged process, which root's engine gives a user id of its own, can open this file by its path."""
    return os.geteuid() != 0 or bool(os.fstat(fd).st_mode & stat.S_IROTH)


def split(members: list[Member]) -> list[list[Member]]:
    """Segments: inspectors that stand together, each group ended by its transform, if there is one."""
    segments: list[list[Member]] = [[]]
    for member in members:
        member.segment = len(segments) - 1
        segments[-1].append(member)
        if member.is_transform:
            segments.append([])
    return segments
