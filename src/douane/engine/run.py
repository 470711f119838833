"""One pass of one image: bytes through rings, past plugins, to the store; and one outcome.

The plan falls into segments: inspectors that stand together, and the transform, if any, that ends them.
Each segment reads one ring; a transform fills the ring of the next. Until a transform has said whether
there is anything to do, the beginning of its ring is held, so that those after it can read that ring itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from douane.declared import DeclaredImage
from douane.errors import DeadlineExceeded, DouaneError, GrantUnavailable, LimitExceeded
from douane.host.emitter import Emitter
from douane.host.exec_plugin import ProgramMember
from douane.host.log import LogLine
from douane.host.loop import Loop
from douane.host.plugin_process import Member
from douane.host.policy import weigh
from douane.host.python_plugin import PythonMember
from douane.plan.grants import open_grant
from douane.plan.plan import Plan
from douane.report import Verdict
from douane.stream.feed import OutputFeed, SourceFeed
from douane.stream.pin import Hold, LateHold
from douane.stream.ring import AUDIT_SLOTS, SLOTS, Ring
from douane.stream.sink import Sink
from douane.stream.source import FileSource, Source
from douane.units import show_duration

from .streams import Streams

AUDIT_SECONDS = 1.0
"""What auditors get after everything else is done, before they count as too slow."""

Progress = Callable[[int, int | None], None]


class Pass:
    """See the module. Made, prepared, run once, closed; all of it in one thread, but for the threads of streams."""

    def __init__(
        self,
        plan: Plan,
        source: Source,
        declared: DeclaredImage,
        sink: Sink | None,
        emit: LogLine,
        progress: Progress | None,
        log_level: int,
    ) -> None:
        self.loop = Loop()
        self.log_level = log_level
        self.emit = Emitter(emit)
        self.plan = plan
        self.members: list[Member] = []
        self.declared = declared
        self.error: DouaneError | None = None
        self.decisive: Member | None = None
        self.streams = Streams(
            source,
            sink,
            plan.digests,
            plan.received_digests,
            self.loop,
            failed=self._fail,
            written=self._show_file,
            unspooled=self._unspooled,
        )
        self._progress = progress
        self._segments: list[list[Member]] = []
        self._place: dict[int, int] = {}  # segment -> the number of the ring that it reads
        self._holds: dict[int, Hold] = {}
        self._outputs: dict[int, OutputFeed] = {}
        self._output_whole: set[int] = set()
        self._waiting: dict[int, list[PythonMember]] = {}
        self._asking: list[PythonMember] = []
        self._over = False
        self._running = False
        self.temporary_bytes = 0
        """The most that temporary files took on the disk at one time: spools, and what plugins wrote to scratch."""
        self._elapsed = 0.0
        self._others_ready = 0.0
        self._late: dict[str, LateHold] = {}
        self._audit_left = AUDIT_SECONDS

    # the whole

    def prepare(self, members: list[Member]) -> None:
        """Start every plugin and wait until all are ready. Raises PlanError; nothing has been read."""
        self.members = members
        self._segments = split(members)
        audited = any(member.spec.mode == "audit" for member in members)
        self.streams.open(len(self._segments), AUDIT_SLOTS if audited else SLOTS)
        for member in members:
            self._start(member)
        self.loop.run(self._all_prepared, self._tick)
        for member in members:
            if isinstance(member, PythonMember) and member.error is not None:
                raise member.error

    def _all_prepared(self) -> bool:
        """Auditors get a moment more than the others; those that are slower come later, if they still can."""
        late = [member for member in self.members if not member.ready and member.verdict is None]
        if any(member.spec.mode != "audit" for member in late):
            self._others_ready = self._elapsed
        return self._over or not late or self._elapsed - self._others_ready > AUDIT_SECONDS

    def misjudged(self) -> bool:
        """True if a plugin turned out to be of another kind than it was taken for, so that it lacks descriptors."""
        return any(isinstance(member, PythonMember) and member.misjudged for member in self.members)

    def run(self) -> None:
        """Let the image through. Returns when there is an outcome, or raises DouaneError."""
        self._running = True
        self._elapsed = 0.0
        if not self._over:
            self.streams.receive()
            self._begin(0, 0)
            source, ring = self.streams.source, self.streams.rings[0]
            self.streams.add_feed(
                SourceFeed(ring, source, lambda error: self.loop.call(lambda: self._on_source(error)))
            )
            self.loop.run(self._finished, self._tick)
        self._conclude()

    def watch(self, progress: Progress | None) -> None:
        """Have `progress` called about ten times a second; what it raises ends the pass."""
        self._progress = progress

    def listen(self) -> None:
        """Hear what has happened while nobody ran the loop: a plugin may have ended."""
        heard = iter((False, False, True))  # one of them may be a tick
        self.loop.call(lambda: None)  # so that it does not wait
        self.loop.run(lambda: next(heard), lambda seconds: None)

    def close(self) -> None:
        """End all that still runs, give everything back. Safe at any moment, idempotent."""
        self.streams.stop()
        for member in self.members:
            if member.verdict is None:
                member.verdict = Verdict(plugin=member.spec.name, outcome="stopped", mode=member.spec.mode)
            member.end_process()
        self.streams.close()
        for member in self.members:
            if member.output is not None:
                os.close(member.output)
                member.output = None
            if member.scratch is not None:
                member.scratch.close()
        self.loop.close()
        self.emit.close()

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
        image_fd = self.streams.open_file(member.segment) if member.reads == "random" else None
        member.start(self.streams.rings[: member.segment + 1], grants, image_fd)

    # what members say

    def on_ready(self, member: Member) -> None:
        """A plugin is ready for its image; an auditor may be so only now."""
        if not self._running or self._over or member.segment not in self._place:
            return
        if isinstance(member, PythonMember) and member.misjudged:
            member.fail("failed", "plugin-unusable", "is of another kind than its source says")
            return
        hold = self._late.pop(member.spec.name, None)
        if hold is not None:
            self._show(member)
            hold.drop()
        self._show_file(member.segment)
        self._show_findings()

    def on_decided(self, member: Member, *, unchanged: bool) -> None:
        """A transform has said whether there is anything to do."""
        segment = member.segment
        if unchanged and member.reads == "random":
            self._pass_on_file(segment)
        elif unchanged:
            self._begin(segment + 1, self._place[segment])
        else:
            self._take_output(member)
        if segment in self._holds:
            self._holds.pop(segment).drop()

    def _take_output(self, member: Member) -> None:
        assert isinstance(member, PythonMember)
        assert member.output is not None
        segment = member.segment
        source = self.streams.rings[self._place[segment]]
        self.declared = self.declared.replace(**member.becomes)
        feed = self._outputs[segment] = OutputFeed(
            self.streams.rings[segment + 1],
            member.output,
            member.spec.name,
            lambda: source.size,  # what was there for it to read, however it reads
            max_output=member.spec.max_output,
            max_ratio=member.spec.max_ratio,
            ended=lambda error: self.loop.call(lambda: self._on_output(member, error)),
        )
        self._begin(segment + 1, segment + 1)
        self.streams.add_feed(feed)

    def _pass_on_file(self, segment: int) -> None:
        """A transform that had to see all of the image leaves it as it is: those after it get it from the file."""
        ring = self.streams.rings[segment + 1]
        source = FileSource(self.streams.open_file(segment), self.streams.source.name)

        def ended(error: DouaneError | None) -> None:
            self.loop.call(lambda: self._fail(error) if error is not None else self._finish_ring(ring))

        self._begin(segment + 1, segment + 1)
        self.streams.add_feed(SourceFeed(ring, source, ended, own=True))

    def _force_decisions(self) -> None:
        """A transform that wants more than is held for those after it has decided: it makes a new image."""
        for segment in list(self._holds):
            transform = self._segments[segment][-1]
            reader = transform.reader
            ring = self.streams.rings[self._place[segment]]
            if ring.is_full and reader is not None and reader.consumed >= reader.sent:
                assert isinstance(transform, PythonMember)
                transform.forced = True
                self._holds.pop(segment).drop()  # those after it begin with its first output, when it has said what

    def on_verdict(self, member: Member) -> None:
        """A plugin has answered, or failed to."""
        verdict = member.verdict
        assert verdict is not None
        if member.scratch is not None:
            self._measure_disk()
            member.scratch.close()
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
            assert isinstance(member, PythonMember)
            self.declared = self.declared.replace(**member.becomes)
            self._finish_output(member)
        elif member.resolved.is_format:
            self._show_file(member.segment)
        self._show_findings()

    def _end(self) -> None:
        """The outcome stands: nothing that is still under way can change it."""
        self._over = True
        self.streams.stop()
        for member in self.members:
            if member.verdict is None:
                member.stop()

    def _unspooled(self, segment: int, error: DouaneError) -> None:
        """The file for those who read a segment at random could not be written."""
        readers = [member for member in self._waiting.pop(segment, []) if member.verdict is None]
        if all(member.spec.mode == "audit" for member in readers):
            for member in readers:  # an auditor never refuses, also not by what it needs
                member.fail("failed", error.code, "could not be given the image", str(error))
        else:
            self._fail(error)

    def _fail(self, error: DouaneError) -> None:
        if not self._over:
            self.error = error
            self._end()

    # segments

    def _begin(self, segment: int, place: int) -> None:
        """Let the plugins of `segment`, and the transform that ends it, read the ring number `place`."""
        self._place[segment] = place
        ring = self.streams.rings[place]
        members = self._segments[segment]
        self.streams.begin(segment, ring)
        last = segment == len(self._segments) - 1
        if not last and members[-1].reads != "random":  # one that reads at random has its own way to pass on
            self._holds[segment] = Hold(ring)
        for member in members:
            if member.verdict is not None:
                continue
            if isinstance(member, PythonMember) and member.reads == "random":
                self._waiting.setdefault(segment, []).append(member)
            elif isinstance(member, PythonMember) and member.reads == "findings":
                self._asking.append(member)
            elif member.ready:
                self._show(member)
            else:
                self._late[member.spec.name] = LateHold(ring, lambda one=member: self.loop.call(one.overran))  # type: ignore[misc]  # a default binds the loop's name
        self._show_file(segment)
        self._show_findings()

    def _show(self, member: Member) -> None:
        place = self._place[member.segment]
        ring = self.streams.rings[place]
        if isinstance(member, ProgramMember):
            member.show_image(ring)
        elif isinstance(member, PythonMember):
            if member.reads == "findings":  # which its source did not tell
                self._asking.append(member)
            else:
                member.show_image(self._facts(place), place, ring)

    def _show_findings(self) -> None:
        """Plugins that go by what others found get their image when all before them have answered."""
        for member in list(self._asking):
            before = [one for one in self.members[: self.members.index(member)] if one.spec.mode != "audit"]
            if self._over or not member.ready or any(one.verdict is None for one in before):
                continue
            self._asking.remove(member)
            if member.verdict is None:
                findings = {
                    key: value for one in before if one.verdict for key, value in one.verdict.properties.items()
                }
                facts = self._facts(self._place[member.segment])
                member.show_image({**facts, "findings": findings}, 0, None)

    def _facts(self, place: int) -> dict[str, Any]:
        return {
            "name": self.declared.name,
            "size": self.streams.source.size if place == 0 else None,
            "disk_format": self.declared.disk_format,
            "container_format": self.declared.container_format,
            "properties": self.declared.properties,
            "owner": self.declared.owner,
            "roles": list(self.declared.roles),
        }

    def _show_file(self, segment: int) -> None:
        """Plugins that read at random get the image when all of it is there."""
        place = self._place.get(segment)
        if place is None or self._over:
            return
        ring = self.streams.rings[place]
        found = [member.verdict for member in self._segments[segment] if member.resolved.is_format]
        if None in found or not self.streams.is_file_whole(segment):
            return
        facts = {**self._facts(place), "size": ring.size}
        for verdict in found:
            # A tool that opens the image is told what it is, and need not guess.
            if verdict is not None and (known := verdict.properties.get(f"{verdict.plugin}.disk_format")):
                facts["disk_format"] = known
        waiting = self._waiting.pop(segment, [])
        self._waiting[segment] = [member for member in waiting if not member.ready]
        for member in waiting:
            if member.verdict is None and member.ready:
                member.show_image(facts, 0, None)

    # ends of streams

    def is_stored(self, member: Member) -> bool:
        """True if what `member` looked at is what comes out at the end."""
        return self._place.get(member.segment) == self._place.get(len(self._segments) - 1)

    def _finish_ring(self, ring: Ring) -> None:
        ring.finish()
        for segment in list(self._place):
            self._show_file(segment)

    def _on_source(self, error: DouaneError | None) -> None:
        if error is not None:
            self._fail(error)
        else:
            self.streams.received_all()
            self._finish_ring(self.streams.rings[0])

    def _on_output(self, member: Member, error: DouaneError | None) -> None:
        if isinstance(error, LimitExceeded):
            member.refuse(error.code, str(error))
        elif error is not None:
            self._fail(error)
        else:
            self._output_whole.add(member.segment)
            self._finish_output(member)

    def _finish_output(self, member: Member) -> None:
        """The new image is whole when the pipe is at its end *and* the transform has said so."""
        verdict = member.verdict
        if member.segment in self._output_whole and verdict is not None and verdict.outcome == "accepted":
            self._finish_ring(self.streams.rings[member.segment + 1])

    # the loop

    def _measure_disk(self) -> None:
        used = sum(member.scratch.used() for member in self.members if member.scratch is not None)
        self.temporary_bytes = max(self.temporary_bytes, used + self.streams.spooled())

    def _tick(self, seconds: float) -> None:
        self._measure_disk()
        for member in self.members:
            feed = self._outputs.get(member.segment) if member.is_transform else None
            if feed is not None:
                member.produced = feed.total
            member.tick(seconds, blocked=feed is not None and self.streams.rings[member.segment + 1].is_full)
        self._elapsed += seconds
        if not self._running or self._over:
            return
        self._force_decisions()
        if self._progress is not None:
            self._progress(self.streams.rings[0].size, self.streams.source.size)
        if self._elapsed > self.plan.deadline:
            self._fail(_deadline(self.plan.deadline))
        if self._done_but_auditors():
            self._audit_left -= seconds
            if self._audit_left < 0:
                self._leave_auditors()

    def _leave_auditors(self) -> None:
        for member in self.members:
            if member.verdict is None:
                what = "was not done when all else was, and an auditor never holds up an import"
                member.fail("incomplete", "auditor-too-slow", what)

    def _done_but_auditors(self) -> bool:
        decided = all(member.verdict is not None for member in self.members if member.spec.mode != "audit")
        return decided and self.streams.all_read()

    def _finished(self) -> bool:
        return self._over or (all(member.verdict is not None for member in self.members) and self._done_but_auditors())

    def _conclude(self) -> None:
        self._over = True
        self._measure_disk()
        self.streams.stop()
        error = self.streams.join()
        if self.error is None and self.decisive is None:
            self.error = error
        for member in self.members:
            verdict = member.verdict
            if verdict is None:
                continue
            place = self._place.get(member.segment)
            ring = self.streams.rings[place] if place is not None else None
            known = self.streams.source.size if place == 0 else None
            verdict.bytes_total = ring.size if ring is not None and ring.ended else known
            if member.reads == "random" and verdict.outcome == "accepted":
                verdict.bytes_seen = verdict.bytes_total or 0  # it could see all; what it did see is its affair


def _deadline(seconds: float) -> DouaneError:
    return DeadlineExceeded(
        f"the import was not done within its deadline of {show_duration(seconds)}; "
        "raise [import] deadline, or find out what held it up in the report"
    )


def split(members: list[Member]) -> list[list[Member]]:
    """Segments: inspectors that stand together, each group ended by its transform, if there is one."""
    segments: list[list[Member]] = [[]]
    for member in members:
        member.segment = len(segments) - 1
        segments[-1].append(member)
        if member.is_transform:
            segments.append([])
    return segments
